//! Members and invitations.
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use tonic::Code;

use super::{reason, sign_in};
use crate::support::{
    both,
    desk::{Desk, PASSWORD, Person},
};

async fn invite(desk: &Desk, owner: &Person, email: &str) -> Result<String, String> {
    let request = json!({"email": email, "role": "ROLE_OPERATOR"});
    let answer = desk.call("InviteMember", &owner.token, request).await;
    answer.map(|answer| answer["token"].as_str().unwrap().to_owned()).map_err(|refusal| refusal.reason)
}

async fn accept(desk: &Desk, person: &Person, token: &str) -> String {
    reason(desk.call("AcceptInvite", &person.token, json!({"token": token})).await)
}

async fn members(desk: &Desk, person: &Person) -> Vec<Value> {
    let list = desk.call("ListMembers", &person.token, json!({})).await.unwrap();
    list["members"].as_array().unwrap().clone()
}

async fn member_id(desk: &Desk, person: &Person) -> String {
    let all = members(desk, person).await;
    let own = all.into_iter().find(|member| member["userId"] == person.user.as_str()).unwrap();
    own["id"].as_str().unwrap().to_owned()
}

/// Acceptance case 59.
#[tokio::test]
async fn an_invitation_is_for_one_person_once_and_for_72_hours() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let bob = desk.sign_up("bob@shop.example").await;

        for role in ["ROLE_OWNER", "ROLE_UNSPECIFIED"] {
            let request = json!({"email": "bob@shop.example", "role": role});
            let refused = desk.call("InviteMember", &ann.token, request).await.unwrap_err();
            assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["role".to_owned()]));
        }
        let token = invite(&desk, &ann, "bob@shop.example").await.unwrap();
        assert_eq!(invite(&desk, &ann, "Bob@shop.example").await.unwrap_err(), "ALREADY_EXISTS");
        let eve = desk.sign_up("eve@shop.example").await;
        assert_eq!(accept(&desk, &eve, &token).await, "INVALID_INVITE");

        desk.env.advance(TimeDelta::hours(73));
        assert_eq!(accept(&desk, &bob, &token).await, "INVITE_EXPIRED");
        let again = invite(&desk, &ann, "bob@shop.example").await.unwrap();
        assert_eq!(accept(&desk, &bob, &token).await, "INVITE_EXPIRED");
        assert_eq!(accept(&desk, &bob, &again).await, "ok");
        assert_eq!(accept(&desk, &bob, &again).await, "INVALID_INVITE");
        assert_eq!(invite(&desk, &ann, "bob@shop.example").await.unwrap_err(), "ALREADY_EXISTS");

        let me = desk.call("GetMe", &bob.token, json!({})).await.unwrap();
        assert_eq!((&me["tenant"]["id"], &me["role"]), (&json!(ann.tenant), &json!("ROLE_OPERATOR")));
        let audited = "select count(*) as n from audit_event where action = 'member.join'";
        assert_eq!(desk.number(audited).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_new_person_joins_by_signing_up_with_an_invitation() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let token = invite(&desk, &ann, "bob@shop.example").await.unwrap();
        let wrong = json!({"email": "eve@shop.example", "password": PASSWORD, "inviteToken": token});
        assert_eq!(reason(desk.call("AuthService.SignUp", "", wrong).await), "INVALID_INVITE");
        assert_eq!(desk.number("select count(*) as n from \"user\"").await, 1);

        let request = json!({"email": "bob@shop.example", "password": PASSWORD, "inviteToken": token});
        let joined = desk.call("AuthService.SignUp", "", request).await.unwrap();
        assert_eq!(joined["tenant"]["id"], ann.tenant.as_str());
        assert_eq!(joined["role"], "ROLE_OPERATOR");
        assert_eq!(desk.number("select count(*) as n from tenant").await, 1);
        assert_eq!(members(&desk, &ann).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_open_invitation_can_be_listed_and_taken_back() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let trial = json!({"email": "bob@shop.example", "role": "ROLE_ADMIN", "validateOnly": true});
        let trial = desk.call("InviteMember", &ann.token, trial).await.unwrap();
        assert_eq!((&trial["token"], &trial["invite"]["role"]), (&json!(""), &json!("ROLE_ADMIN")));

        let token = invite(&desk, &ann, "bob@shop.example").await.unwrap();
        let list = desk.call("ListInvites", &ann.token, json!({})).await.unwrap();
        assert_eq!(list["invites"].as_array().unwrap().len(), 1);
        let id = list["invites"][0]["id"].as_str().unwrap();
        let stranger = desk.sign_up("eve@other.example").await;
        let foreign = desk.call("RevokeInvite", &stranger.token, json!({"inviteId": id})).await;
        assert_eq!(reason(foreign), "NOT_FOUND");
        desk.call("RevokeInvite", &ann.token, json!({"inviteId": id})).await.unwrap();
        assert_eq!(reason(desk.call("RevokeInvite", &ann.token, json!({"inviteId": id})).await), "NOT_FOUND");
        let bob = desk.sign_up("bob@shop.example").await;
        assert_eq!(accept(&desk, &bob, &token).await, "INVALID_INVITE");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_accepted_twice_at_once_counts_once() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let bob = desk.sign_up("bob@shop.example").await;
        let token = invite(&desk, &ann, "bob@shop.example").await.unwrap();
        let answers = join_all((0..8).map(|_| accept(&desk, &bob, &token))).await;
        assert_eq!(answers.iter().filter(|answer| *answer == "ok").count(), 1, "{answers:?}");
        assert_eq!(members(&desk, &ann).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn the_last_owner_stays() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let bob = desk.join(&ann, "bob@shop.example", "ROLE_OPERATOR").await;
        let (ann_id, bob_id) = (member_id(&desk, &ann).await, member_id(&desk, &bob).await);
        let set = |by: &Person, member: &str, role: &str, version: &str| {
            let request = json!({"memberId": member, "role": role, "expectedVersion": version});
            let token = by.token.clone();
            let desk = &desk;
            async move { desk.call("UpdateMemberRole", &token, request).await }
        };

        assert_eq!(reason(set(&ann, &ann_id, "ROLE_ADMIN", "0").await), "LAST_OWNER");
        let removal = desk.call("RemoveMember", &ann.token, json!({"memberId": ann_id})).await;
        assert_eq!(reason(removal), "LAST_OWNER");
        assert_eq!(reason(set(&bob, &bob_id, "ROLE_OWNER", "0").await), "OWNER_REQUIRED");
        assert_eq!(set(&ann, &bob_id, "ROLE_OWNER", "1").await.unwrap()["version"], "2");
        let stale = set(&ann, &bob_id, "ROLE_ADMIN", "1").await.unwrap_err();
        assert_eq!((stale.code, stale.reason.as_str()), (Code::Aborted, "VERSION_MISMATCH"));
        assert_eq!(reason(set(&bob, &ann_id, "ROLE_ADMIN", "0").await), "ok");
        assert_eq!(reason(set(&bob, &bob_id, "ROLE_ADMIN", "0").await), "LAST_OWNER");

        let stranger = desk.sign_up("eve@other.example").await;
        assert_eq!(reason(set(&stranger, &ann_id, "ROLE_VIEWER", "0").await), "NOT_FOUND");
        let wrong = set(&ann, &ann.user, "ROLE_VIEWER", "0").await.unwrap_err();
        assert_eq!((wrong.code, wrong.fields), (Code::InvalidArgument, vec!["member_id".to_owned()]));
    })
    .await;
}

/// Two owners who unmake each other at the same moment leave one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_owners_cannot_unmake_each_other() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        for round in 0..6 {
            let ann = desk.sign_up(&format!("ann{round}@shop.example")).await;
            let bob = desk.join(&ann, &format!("bob{round}@shop.example"), "ROLE_ADMIN").await;
            let (ann_id, bob_id) = (member_id(&desk, &ann).await, member_id(&desk, &bob).await);
            let promote = json!({"memberId": bob_id, "role": "ROLE_OWNER"});
            desk.call("UpdateMemberRole", &ann.token, promote).await.unwrap();

            let demote = json!({"memberId": bob_id, "role": "ROLE_VIEWER"});
            let (one, other) = tokio::join!(
                desk.call("UpdateMemberRole", &ann.token, demote),
                desk.call("RemoveMember", &bob.token, json!({"memberId": ann_id})),
            );
            let answers = [reason(one), reason(other)];
            assert_eq!(answers.iter().filter(|answer| *answer == "ok").count(), 1, "{answers:?}");
            let owners = "select count(*) as n from member where role = 'owner' and removed_at is null";
            assert_eq!(desk.number(owners).await, round + 1);
        }
    })
    .await;
}

/// Acceptance cases 140 and 141.
#[tokio::test]
async fn a_removed_member_loses_the_tenant_at_once_and_can_come_back() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let bob = desk.sign_up("bob@own.example").await;
        let token = invite(&desk, &ann, "bob@own.example").await.unwrap();
        assert_eq!(accept(&desk, &bob, &token).await, "ok");
        let id = member_id(&desk, &bob).await;

        desk.call("RemoveMember", &ann.token, json!({"memberId": id})).await.unwrap();
        assert_eq!(reason(desk.call("GetTenant", &bob.token, json!({})).await), "NO_CURRENT_TENANT");
        assert_eq!(members(&desk, &ann).await.len(), 1);
        assert_eq!(reason(desk.call("RemoveMember", &ann.token, json!({"memberId": id})).await), "NOT_FOUND");
        let back = sign_in(&desk, "bob@own.example", PASSWORD).await.unwrap();
        assert_eq!(back["tenant"]["id"], bob.tenant.as_str());
        let there = json!({"email": "bob@own.example", "password": PASSWORD, "tenantId": ann.tenant});
        assert_eq!(reason(desk.call("AuthService.SignIn", "", there.clone()).await), "NOT_FOUND");

        let token = invite(&desk, &ann, "bob@own.example").await.unwrap();
        assert_eq!(accept(&desk, &bob, &token).await, "ok");
        assert_eq!(member_id(&desk, &bob).await, id);
        let there = desk.call("AuthService.SignIn", "", there).await.unwrap();
        assert_eq!(there["tenant"]["id"], ann.tenant.as_str());
    })
    .await;
}

#[tokio::test]
async fn members_come_in_pages() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        for number in 0..4 {
            desk.join(&ann, &format!("m{number}@shop.example"), "ROLE_VIEWER").await;
        }
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let request = json!({"pageSize": 2, "pageToken": token});
            let page = desk.call("ListMembers", &ann.token, request).await.unwrap();
            seen.extend(page["members"].as_array().unwrap().iter().map(|member| member["email"].clone()));
            token = page["nextPageToken"].as_str().unwrap().to_owned();
            if token.is_empty() {
                break;
            }
        }
        let expected = ["ann", "m0", "m1", "m2", "m3"].map(|name| format!("{name}@shop.example"));
        assert_eq!(seen, expected);
        for request in [json!({"pageSize": -1}), json!({"pageToken": "nonsense"})] {
            assert_eq!(reason(desk.call("ListMembers", &ann.token, request).await), "INVALID_FIELD");
        }
    })
    .await;
}
