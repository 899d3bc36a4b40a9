//! The access layer over real credentials, in front of a handler that answers with what it was given.

mod world;

use std::time::Duration;

use futures::StreamExt;
use switchboard::{
    auth::Actor,
    domain::access::{Permission, PlatformRole, Role},
};
use tonic::Code;

use crate::support::{Pair, both};
use world::World;

/// Acceptance cases 49 to 51.
#[tokio::test]
async fn roles_open_what_the_matrix_says() {
    both(async |pair| {
        let world = World::new(&pair, &[]).await;
        let tenant = world.tenant().await;
        let analytics = [Role::Operator, Role::Admin, Role::Owner].as_slice();
        let customers = [Role::Viewer, Role::Operator, Role::Admin, Role::Owner].as_slice();
        for (method, allowed) in [("Report", analytics), ("Customers", customers)] {
            for role in [Role::Guest, Role::Viewer, Role::Operator, Role::Admin, Role::Owner] {
                let member = world.member(tenant, role).await;
                let answer = world.call(method, &[("authorization", &member)]).await;
                let expected = if allowed.contains(&role) { Code::Ok } else { Code::PermissionDenied };
                assert_eq!(answer.code, expected, "{method} {role:?}");
            }
        }
        let viewer = world.member(tenant, Role::Viewer).await;
        let refused = world.call("Report", &[("authorization", &viewer)]).await;
        assert_eq!(refused.reason.as_deref(), Some("PERMISSION_REQUIRED"));
        assert_eq!(refused.metadata["required_permission"], "VIEW_ANALYTICS");
        assert_eq!(refused.metadata["current_role"], "viewer");
    })
    .await;
}

/// Acceptance case 130.
#[tokio::test]
async fn what_proves_nothing_is_unauthenticated() {
    both(async |pair| {
        let world = World::new(&pair, &[]).await;
        let tenant = world.tenant().await;
        let (owner, user) = world.member_with_user(tenant, Role::Owner).await;
        let none = world.call("Mine", &[]).await;
        assert_eq!((none.code, none.reason.as_deref()), (Code::Unauthenticated, Some("UNAUTHENTICATED")));
        let digits = "a".repeat(43);
        for forged in
            [format!("Bearer sbs_{digits}"), format!("Bearer sk_live_{digits}"), "Bearer x".to_owned()]
        {
            let answer = world.call("Mine", &[("authorization", &forged)]).await;
            assert_eq!(
                (answer.code, answer.reason.as_deref()),
                (Code::Unauthenticated, Some("INVALID_TOKEN"))
            );
            assert_eq!(world.call("Open", &[("authorization", &forged)]).await.code, Code::Ok, "public");
        }
        let key = world.api_key(tenant, user, &[Permission::ViewCustomers]).await;
        let both = world.call("Mine", &[("authorization", &owner), ("authorization", &key)]).await;
        assert_eq!(both.code, Code::InvalidArgument);
        let prefixed = world.call("Mine", &[("grpc-metadata-authorization", &owner)]).await;
        assert_eq!(prefixed.code, Code::Unauthenticated);

        world.pass(chrono::TimeDelta::days(8));
        assert_eq!(world.call("Mine", &[("authorization", &owner)]).await.code, Code::Unauthenticated);
        assert_eq!(world.call("Customers", &[("authorization", &key)]).await.code, Code::Ok);
    })
    .await;
}

#[tokio::test]
async fn keys_stay_within_their_permissions() {
    both(async |pair| {
        let world = World::new(&pair, &[]).await;
        let tenant = world.tenant().await;
        let (_, user) = world.member_with_user(tenant, Role::Owner).await;
        let key = world.api_key(tenant, user, &[Permission::ViewCustomers, Permission::ViewAnalytics]).await;
        let authorization = ("authorization", key.as_str());

        let answer = world.call("Customers", &[authorization]).await;
        assert_eq!(answer.code, Code::Ok);
        let caller = answer.caller.unwrap();
        assert!(matches!(caller.scope().unwrap().actor(), Actor::ApiKey(_)));
        assert_eq!(caller.scope().unwrap().tenant(), tenant);

        let lacking = world.call("Connect", &[authorization]).await;
        assert_eq!(lacking.reason.as_deref(), Some("PERMISSION_REQUIRED"));
        assert_eq!(lacking.metadata["current_role"], "api_key");
        for people_only in ["Report", "Mine"] {
            let refused = world.call(people_only, &[authorization]).await;
            assert_eq!(refused.reason.as_deref(), Some("PERSON_REQUIRED"), "{people_only}");
        }
        let staff = world.call("Staff", &[authorization]).await;
        assert_eq!(staff.reason.as_deref(), Some("PLATFORM_ROLE_REQUIRED"));
    })
    .await;
}

#[tokio::test]
async fn staff_is_not_a_tenants_role() {
    both(async |pair| {
        let world = World::new(&pair, &[]).await;
        let tenant = world.tenant().await;
        let member = world.member(tenant, Role::Owner).await;
        let admin = world.session(world.user(Some(PlatformRole::Admin)).await, None).await;
        let owner = world.session(world.user(Some(PlatformRole::Owner)).await, None).await;
        for (who, token, staff, own) in [
            ("member", &member, Code::PermissionDenied, Code::PermissionDenied),
            ("admin", &admin, Code::Ok, Code::PermissionDenied),
            ("owner", &owner, Code::Ok, Code::Ok),
        ] {
            assert_eq!(world.call("Staff", &[("authorization", token)]).await.code, staff, "{who}");
            assert_eq!(world.call("Own", &[("authorization", token)]).await.code, own, "{who}");
        }
        let homeless = world.call("Report", &[("authorization", &owner)]).await;
        assert_eq!(homeless.reason.as_deref(), Some("NO_CURRENT_TENANT"));
    })
    .await;
}

#[tokio::test]
async fn a_plan_and_a_tenant_in_good_standing_are_needed_where_declared() {
    both(async |pair| {
        let world = World::new(&pair, &[]).await;
        let tenant = world.tenant().await;
        let admin = world.member(tenant, Role::Admin).await;
        let connect = async || world.call("Connect", &[("authorization", &admin)]).await;

        let unpaid = connect().await;
        assert_eq!(
            (unpaid.code, unpaid.reason.as_deref()),
            (Code::FailedPrecondition, Some("SUBSCRIPTION_REQUIRED"))
        );
        world.start_trial(tenant).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        let paid = connect().await;
        assert_eq!(paid.code, Code::Ok);
        let scope = paid.caller.unwrap().scope().unwrap();
        assert_eq!(scope.audit().map(|action| &**action), Some("trial.connect"));
        assert_eq!(scope.request().map(|id| &**id), Some("req-1"));

        world.restrict(tenant).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        let restricted = connect().await;
        assert_eq!(restricted.reason.as_deref(), Some("TENANT_RESTRICTED"));
        assert_eq!(
            world.call("Report", &[("authorization", &admin)]).await.code,
            Code::Ok,
            "reading goes on"
        );
    })
    .await;
}

/// A revoked credential fails within a second everywhere, and at once where it was revoked.
#[tokio::test]
async fn revoked_is_revoked_within_a_second() {
    both(async |pair| {
        let world = World::new(&pair, &[]).await;
        let tenant = world.tenant().await;
        let (owner, user) = world.member_with_user(tenant, Role::Owner).await;
        let key = world.api_key(tenant, user, &[Permission::ViewCustomers]).await;
        let works = async || world.call("Customers", &[("authorization", &key)]).await.code == Code::Ok;

        assert!(works().await);
        world.revoke(tenant).await;
        assert_eq!(world.call("Revoke", &[("authorization", &owner)]).await.code, Code::Ok);
        assert!(!works().await, "a call that may revoke makes the layer ask again");

        let other = world.api_key(tenant, user, &[Permission::ViewCustomers]).await;
        let works = async || world.call("Customers", &[("authorization", &other)]).await.code == Code::Ok;
        assert!(works().await);
        world.revoke(tenant).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(!works().await);
    })
    .await;
}

#[tokio::test]
async fn limits_hold_and_are_told() {
    both(async |pair| {
        let world = World::new(&pair, &[("SWITCHBOARD_RATE_READ", "2/1h")]).await;
        let tenant = world.tenant().await;
        let member = world.member(tenant, Role::Owner).await;
        let read = async || world.call("Mine", &[("authorization", &member)]).await;
        let first = read().await;
        assert_eq!((first.header("ratelimit-limit"), first.header("ratelimit-remaining")), ("2", "1"));
        assert_eq!(read().await.code, Code::Ok);
        let refused = read().await;
        assert_eq!(
            (refused.code, refused.reason.as_deref()),
            (Code::ResourceExhausted, Some("RATE_LIMITED"))
        );
        assert!(refused.retry.unwrap() > Duration::from_secs(1700));
        assert_eq!(refused.header("ratelimit-remaining"), "0");
        assert!(refused.header("retry-after").parse::<u64>().unwrap() > 1700);
        let other = world.member(tenant, Role::Owner).await;
        assert_eq!(world.call("Mine", &[("authorization", &other)]).await.code, Code::Ok);
    })
    .await;
}

/// Acceptance case 67: with Redis, exactly as many as the limit, however many ask at once and wherever.
#[tokio::test]
async fn a_thousand_at_once_are_limited_exactly() {
    both(async |pair| {
        let settings = [("SWITCHBOARD_RATE_PUBLIC", "100/1h")];
        let (one, two) = (World::new(&pair, &settings).await, World::new(&pair, &settings).await);
        let calls = (0..1000).map(async |at| {
            // Without Redis each process counts alone: then there is one.
            let world = if pair.redis_url.is_some() && at % 2 == 0 { &two } else { &one };
            world.open("a").await
        });
        // Not all in one poll: a slow machine would run out of the patience with Redis.
        let answers: Vec<_> = futures::stream::iter(calls).buffer_unordered(50).collect().await;
        assert_eq!(answers.iter().filter(|answer| answer.code == Code::Ok).count(), 100);
    })
    .await;
}

/// What one process let through is known to the others a moment later, and is owed by all.
#[tokio::test]
async fn reads_in_one_process_count_in_the_others() {
    // With Redis: without it there is one process.
    let pair = Pair::postgres().await;
    let settings = [("SWITCHBOARD_RATE_READ", "40/1h"), ("SWITCHBOARD_RATE_TENANT_FACTOR", "100")];
    let (one, two) = (World::new(&pair, &settings).await, World::new(&pair, &settings).await);
    let member = one.member(one.tenant().await, Role::Owner).await;
    let fits = async |world: &World| world.call("Mine", &[("authorization", &member)]).await.code == Code::Ok;
    for _ in 0..40 {
        assert!(fits(&one).await);
    }
    assert!(!fits(&one).await, "a process never lets through more than the limit");
    // The other one has not met the caller yet: it learns from the first call that it counts.
    let mut late = 0;
    while fits(&two).await {
        late += 1;
        assert!(late < 40, "nobody told the other process");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(late < 10, "{late} more, with one call every 50 ms");
}

#[tokio::test]
async fn guesses_are_counted() {
    both(async |pair| {
        let world = World::new(&pair, &[("SWITCHBOARD_RATE_PUBLIC", "3/1h")]).await;
        let forged = format!("Bearer sbs_{}", "a".repeat(43));
        for _ in 0..3 {
            assert_eq!(world.call("Mine", &[("authorization", &forged)]).await.code, Code::Unauthenticated);
        }
        assert_eq!(world.call("Mine", &[("authorization", &forged)]).await.code, Code::ResourceExhausted);
    })
    .await;
}

/// Acceptance case 63.
#[tokio::test]
async fn sign_in_is_limited_per_account() {
    both(async |pair| {
        let world = World::new(&pair, &[]).await;
        for _ in 0..5 {
            assert_eq!(world.sign_in("a@example.com").await.code, Code::Ok);
        }
        assert_eq!(world.sign_in("A@example.com").await.code, Code::ResourceExhausted);
        assert_eq!(world.sign_in("b@example.com").await.code, Code::Ok);
        let invalid = world.sign_in("nobody").await;
        assert_eq!((invalid.code, invalid.fields()), (Code::InvalidArgument, vec!["email".to_owned()]));
    })
    .await;
}

#[tokio::test]
async fn fields_are_checked_before_the_handler_which_gets_the_same_bytes() {
    both(async |pair| {
        let world = World::new(&pair, &[("SWITCHBOARD_MAX_REQUEST_BYTES", "1024")]).await;
        let fine = world.open("abcd").await;
        assert_eq!(fine.code, Code::Ok);
        assert_eq!(fine.received, [&[0, 0, 0, 0, 6, 10, 4], b"abcd".as_slice()].concat());

        let invalid = world.open("abcde").await;
        assert_eq!((invalid.code, invalid.fields()), (Code::InvalidArgument, vec!["name".to_owned()]));
        assert!(invalid.received.is_empty(), "the handler was not called");
        let undecodable = world.send("Open", &[], &[10, 200, 1]).await;
        assert_eq!(
            (undecodable.code, undecodable.fields()),
            (Code::InvalidArgument, vec!["request".to_owned()])
        );
        let bad_utf8 = world.send("Open", &[], &[10, 1, 0xff]).await;
        assert_eq!(bad_utf8.code, Code::InvalidArgument);
        let large = world.send("Open", &[], &[0; 1025]).await;
        assert_eq!(
            (large.code, large.reason.as_deref()),
            (Code::ResourceExhausted, Some("REQUEST_TOO_LARGE"))
        );
        let most = world.send("Mine", &[], &[0; 1024]).await;
        assert_eq!(most.code, Code::Unauthenticated, "who comes before what");
    })
    .await;
}

#[tokio::test]
async fn what_has_no_policy_is_the_routers_to_answer() {
    both(async |pair| {
        let world = World::new(&pair, &[]).await;
        let path = "/grpc.health.v1.Health/Check";
        let answer = world.at(path, &[], &[]).await;
        assert_eq!(answer.code, Code::Ok);
        assert!(answer.caller.is_none());
    })
    .await;
}
