//! The acceptance cases of pulling.

use serde_json::json;
use switchboard::{id::TenantId, store::events::KEPT_DAYS};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{Copy, PRODUCTS, fresh, open, products, settled, sizes, sql};
use crate::support::both;

const COLLECTION: &str = PRODUCTS.0;

/// Acceptance case 142.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_came_since_arrive_once_over_the_pages() {
    both(async |pair| {
        let (app, ada, running) = open(&pair).await;
        products(&app, &ada, 5).await;
        settled(&pair).await;
        let mut copy = Copy::default();
        assert_eq!(sizes(&copy.cycle(&app, &ada, COLLECTION, 100).await), [5]);

        let mut new = products(&app, &ada, 150).await;
        settled(&pair).await;
        let pages = copy.cycle(&app, &ada, COLLECTION, 100).await;
        assert_eq!(sizes(&pages), [100, 50]);
        let mut pulled = pages.concat();
        pulled.sort_unstable();
        new.sort_unstable();
        assert_eq!(pulled, new);
        assert_eq!(copy.rows.len(), 155);
        assert_eq!(sizes(&copy.cycle(&app, &ada, COLLECTION, 100).await), [0]);
        running.stop().await;
    })
    .await;
}

/// Acceptance case 143. The forward cursor is a number of the log, not a row: it stays where the copy began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_copy_comes_from_the_newest_row_to_the_oldest() {
    both(async |pair| {
        let (app, ada, running) = open(&pair).await;
        let mut ids = products(&app, &ada, 250).await;
        settled(&pair).await;
        let mut copy = Copy::default();
        let (mut pulled, mut counts, mut cursors) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..4 {
            let (changes, more) = copy.page(&app, &ada, COLLECTION, 100).await;
            counts.push((changes.len(), more));
            cursors.push(copy.cursor.as_ref().unwrap()["toSeq"].clone());
            pulled.extend(changes.iter().map(|change| change["id"].as_str().unwrap().to_owned()));
        }
        assert_eq!(counts, [(100, true), (100, true), (50, false), (0, false)]);
        ids.sort_unstable();
        ids.reverse();
        assert_eq!(pulled, ids);
        cursors.dedup();
        assert_eq!(cursors.len(), 1, "{cursors:?}");
        running.stop().await;
    })
    .await;
}

/// Acceptance case 144, first half: what changes after the cycle began is of the next one, whether its row was
/// delivered before, would have been later, or is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_in_a_cycle_comes_in_the_next_one() {
    both(async |pair| {
        let (app, ada, running) = open(&pair).await;
        let ids = products(&app, &ada, 6).await;
        settled(&pair).await;
        let mut copy = Copy::default();
        let (first, more) = copy.page(&app, &ada, COLLECTION, 2).await;
        assert_eq!((first[0]["id"].as_str(), more), (Some(ids[5].as_str()), true));

        for id in [&ids[5], &ids[2]] {
            app.ok("UpdateProduct", &ada, json!({"productId": id, "name": "Tandem"})).await;
        }
        app.ok("DeleteProduct", &ada, json!({"productId": ids[1]})).await;
        let late = products(&app, &ada, 1).await;
        // Numbered or not: the row is newer than the cycle.
        let rest = copy.cycle(&app, &ada, COLLECTION, 2).await.concat();
        assert_eq!(rest, [&ids[3], &ids[0]].map(Clone::clone));
        assert_eq!(copy.rows[&ids[5]]["product"]["name"], "Bike");

        settled(&pair).await;
        let mut next = copy.cycle(&app, &ada, COLLECTION, 2).await.concat();
        next.sort_unstable();
        let mut expected = vec![ids[1].clone(), ids[2].clone(), ids[5].clone(), late[0].clone()];
        expected.sort_unstable();
        assert_eq!(next, expected);
        assert_eq!(copy.rows[&ids[5]]["product"]["name"], "Tandem");
        assert!(!copy.rows.contains_key(&ids[1]), "the word that it is gone");
        assert_eq!(copy.rows.len(), 6);
        running.stop().await;
    })
    .await;
}

/// Acceptance case 144, second half: rows of one and the same moment are told apart, back and forth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_one_moment_come_on_different_pages() {
    both(async |pair| {
        let (app, ada, running) = open(&pair).await;
        let mut before = Copy::default();
        settled(&pair).await;
        before.cycle(&app, &ada, COLLECTION, 1).await;
        let mut ids = products(&app, &ada, 3).await;
        let moment = app.store().env().now();
        sql(&pair, "update product set update_time = $1, create_time = $1", vec![moment.into()]).await;
        settled(&pair).await;
        let mut after = Copy::default();
        ids.sort_unstable();
        for copy in [&mut before, &mut after] {
            let mut pulled = copy.cycle(&app, &ada, COLLECTION, 1).await.concat();
            pulled.sort_unstable();
            assert_eq!(pulled, ids);
        }
        running.stop().await;
    })
    .await;
}

/// Acceptance case 145.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rows_time_loses_no_microsecond() {
    both(async |pair| {
        let (app, ada, running) = open(&pair).await;
        let ids = products(&app, &ada, 1).await;
        settled(&pair).await;
        for (time, micros) in [
            ("2026-01-02T03:04:05.123456Z", "1767323045123456"),
            ("2026-01-02T03:04:05.1Z", "1767323045100000"),
        ] {
            let time: chrono::DateTime<chrono::Utc> = time.parse().unwrap();
            sql(&pair, "update product set update_time = $1", vec![time.into()]).await;
            let mut copy = Copy::default();
            copy.cycle(&app, &ada, COLLECTION, 10).await;
            assert_eq!(copy.rows[&ids[0]]["updateMicros"], micros);
        }
        running.stop().await;
    })
    .await;
}

/// A cursor that is of no use is refused with what to do: of another tenant or collection, from the future, from
/// before what is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_no_use_is_refused() {
    both(async |pair| {
        let (app, ada, running) = open(&pair).await;
        let bob = app.sign_up("bob@example.com").await;
        products(&app, &ada, 1).await;
        products(&app, &bob, 1).await;
        settled(&pair).await;
        let mut copy = Copy::default();
        copy.cycle(&app, &ada, COLLECTION, 10).await;
        let cursor = copy.cursor.clone().unwrap();
        let with = |field: &str, value: serde_json::Value| {
            let mut cursor = cursor.clone();
            cursor[field] = value;
            json!({"collection": COLLECTION, "cursor": cursor})
        };
        let invalid = Code::InvalidArgument;
        for (request, code, reason, field) in [
            (with("tenantId", json!(bob.tenant)), invalid, "INVALID_FIELD", "cursor.tenant_id"),
            (with("tenantId", json!("")), invalid, "INVALID_FIELD", "cursor.tenant_id"),
            (
                with("collection", json!("COLLECTION_DOCUMENTS")),
                invalid,
                "INVALID_FIELD",
                "cursor.collection",
            ),
            (with("fromId", json!(ada.user)), invalid, "INVALID_FIELD", "cursor.from_id"),
            (with("toSeq", json!("4000000")), Code::FailedPrecondition, "SNAPSHOT_REQUIRED", ""),
            (with("toSeq", json!("9223372036854775807")), Code::FailedPrecondition, "SNAPSHOT_REQUIRED", ""),
            (json!({"collection": COLLECTION, "untilSeq": "4000000"}), invalid, "INVALID_FIELD", "until_seq"),
            (json!({}), invalid, "INVALID_FIELD", "collection"),
        ] {
            let refusal = app.call("PullChanges", Some(&ada.token), request.clone()).await;
            let refusal = refusal.err().unwrap_or_else(|| panic!("{request} is taken"));
            assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason), "{request}");
            assert_eq!(refusal.fields.first().map_or("", String::as_str), field, "{request}");
        }
        // Bob's own cursor is none of hers, and hers tells him nothing.
        let other = app.call("PullChanges", Some(&bob.token), with("toSeq", cursor["toSeq"].clone())).await;
        assert_eq!(other.unwrap_err().fields, ["cursor.tenant_id"]);

        // What lies behind the cursor is dropped as time goes by.
        let tenant: TenantId = ada.tenant.parse().unwrap();
        sql(&pair, "update event_head set oldest = seq + 1 where tenant_id = $1", vec![tenant.into()]).await;
        let kept = app.call("PullChanges", Some(&ada.token), with("complete", json!(true))).await;
        assert!(kept.is_ok(), "it has all: {kept:?}");
        let late = app.call("PullChanges", Some(&ada.token), with("toSeq", json!("1"))).await.unwrap_err();
        assert_eq!((late.code, late.reason.as_str()), (Code::FailedPrecondition, "SNAPSHOT_REQUIRED"));
        let told = late.status.get_details_error_info().unwrap().metadata;
        assert_eq!(told["newest_seq"], cursor["toSeq"].as_str().unwrap());
        let mut anew = Copy::default();
        anew.cycle(&app, &ada, COLLECTION, 10).await;
        assert_eq!(anew.rows, copy.rows, "{KEPT_DAYS} days later a new copy is as good");
        running.stop().await;
    })
    .await;
}

/// A page is bounded by its rows' size too: an answer holds 4 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_rows_make_short_pages() {
    both(async |pair| {
        let (app, ada, running) = open(&pair).await;
        settled(&pair).await;
        let mut forward = Copy::default();
        forward.cycle(&app, &ada, "COLLECTION_DOCUMENTS", 200).await;
        let text = "ж".repeat(50_000);
        for _ in 0..20 {
            let id = fresh(&app).replace("prd_", "doc_");
            let document =
                json!({"id": id, "title": "a", "content": text, "documentType": "DOCUMENT_TYPE_FAQ"});
            app.ok("PushChanges", &ada, json!({"changes": [{"createDocument": document}]})).await;
        }
        settled(&pair).await;
        for mut copy in [forward, Copy::default()] {
            let pages = copy.cycle(&app, &ada, "COLLECTION_DOCUMENTS", 200).await;
            assert_eq!((copy.rows.len(), pages.concat().len()), (20, 20));
            assert!(pages.len() >= 2, "{:?}", sizes(&pages));
        }
        running.stop().await;
    })
    .await;
}
