//! Pages and masks.

use serde_json::{Value, json};
use tonic::Code;

use super::stage::{Stage, Who};
use crate::support::{
    both,
    rpc::{methods, path},
};

/// Every list, with what it must be told.
async fn lists(stage: &Stage) -> Vec<(String, Who, Value)> {
    let conversation = stage.writes("15550000001").await;
    let mut lists = Vec::new();
    for method in methods().filter(|method| method.input().get_field_by_name("page_token").is_some()) {
        let mut request = json!({});
        if method.name() == "ListMessages" {
            request["conversationId"] = conversation["id"].clone();
        }
        let staff = method.parent_service().package_name() == "switchboard.admin.v1";
        if method.name() == "ListGrants" {
            request["tenantId"] = stage.owner.tenant.clone().into();
        }
        let who = if staff { Who::Staff } else { Who::Owner };
        lists.push((method.full_name().to_owned(), who, request));
    }
    assert!(lists.len() >= 12, "{}", lists.len());
    lists
}

/// Acceptance case 33, on every list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_bounded_and_its_token_is_good_for_its_own_list_only() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        stage.app.join(&stage.owner, "second@shop.example", "ROLE_VIEWER").await;
        let lists = lists(&stage).await;
        let with = |request: &Value, name: &str, value: Value| {
            let mut request = request.clone();
            request[name] = value;
            request
        };
        let first = stage.ok(Who::Owner, "ListMembers", json!({"pageSize": 1})).await;
        let token = first["nextPageToken"].as_str().unwrap();
        assert!(!token.is_empty());

        for (list, who, request) in &lists {
            stage.ok(*who, list, with(request, "pageSize", 100_000.into())).await;
            for (name, value, field) in [
                ("pageSize", json!(-1), "page_size"),
                ("pageToken", json!("nonsense"), "page_token"),
                ("pageToken", json!(token), "page_token"),
            ] {
                let asked = stage.call(*who, list, with(request, name, value.clone())).await;
                if list.ends_with(".ListMembers") && value == token {
                    assert_eq!(asked.unwrap()["members"].as_array().unwrap().len(), 1);
                    continue;
                }
                let refusal = asked.err().unwrap_or_else(|| panic!("{list} takes {name} {value}"));
                assert_eq!(
                    (refusal.code, refusal.fields.first().map(String::as_str)),
                    (Code::InvalidArgument, Some(field)),
                    "{list}: {refusal:?}"
                );
            }
        }
        stage.stop().await;
    })
    .await;
}

/// A token is bound to the filters it was made for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_token_is_refused_with_other_filters() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        let first = stage.writes("15550000001").await;
        let second = stage.writes("15550000002").await;
        stage.draft(&first).await;
        stage.draft(&second).await;
        for sku in ["A", "B"] {
            let product = json!({"name": sku, "sku": sku, "category": "bikes"});
            stage.ok(Who::Owner, "CreateProduct", product).await;
            let document = json!({"title": sku, "content": "text", "documentType": "DOCUMENT_TYPE_FAQ"});
            stage.ok(Who::Owner, "CreateDocument", document).await;
        }
        for (list, filter) in [
            ("ListConversations", json!({"channelId": stage.channel()})),
            ("ListConversations", json!({"state": "CONVERSATION_STATE_OPEN"})),
            ("ListConversations", json!({"assigneeId": "me"})),
            ("ListConversations", json!({"customerId": first["customerId"]})),
            ("ListSuggestions", json!({"conversationId": first["id"]})),
            ("ListSuggestions", json!({"state": "SUGGESTION_STATE_PENDING"})),
            ("ListProducts", json!({"category": "bikes"})),
            ("ListDocuments", json!({"documentType": "DOCUMENT_TYPE_FAQ"})),
        ] {
            let page = stage.ok(Who::Owner, list, json!({"pageSize": 1})).await;
            let token = page["nextPageToken"].as_str().unwrap();
            assert!(!token.is_empty(), "{list}");
            stage.ok(Who::Owner, list, json!({"pageToken": token, "pageSize": 7})).await;
            let mut other = filter.clone();
            other["pageToken"] = token.into();
            let refusal = stage.call(Who::Owner, list, other).await;
            let refusal = refusal.err().unwrap_or_else(|| panic!("{list} goes on with {filter}"));
            assert_eq!(
                (refusal.code, refusal.fields),
                (Code::InvalidArgument, vec!["page_token".to_owned()]),
                "{list} {filter}"
            );
        }
        stage.stop().await;
    })
    .await;
}

/// A mask that names what cannot change is refused by every update; one that names a field changes that alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mask_says_what_changes() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        let conversation = stage.writes("15550000001").await;
        let customer = json!({"customerId": conversation["customerId"]});
        let product = stage.ok(Who::Owner, "CreateProduct", json!({"name": "Bike", "sku": "B1"})).await;
        let document =
            json!({"title": "Delivery", "content": "One day.", "documentType": "DOCUMENT_TYPE_DELIVERY"});
        let document = stage.ok(Who::Owner, "CreateDocument", document).await;
        let updates = [
            ("UpdateTenant", json!({"tenant": {"name": "Heron", "currency": "EUR"}}), "currency", "name"),
            ("UpdateChannel", json!({"channelId": stage.channel(), "name": "x"}), "whatsapp", "name"),
            (
                "UpdateCustomer",
                json!({"customerId": customer["customerId"], "displayName": "x", "language": "de"}),
                "language",
                "displayName",
            ),
            ("UpdateProduct", json!({"productId": product["id"], "name": "x", "sku": "B2"}), "sku", "name"),
            (
                "UpdateDocument",
                json!({"documentId": document["id"], "title": "x", "content": "Two."}),
                "content",
                "title",
            ),
            (
                "UpdateDecisionSettings",
                json!({"tAutoBp": 9_000, "tEscalateBp": 1_000}),
                "tEscalateBp",
                "tAutoBp",
            ),
        ];
        for (update, request, named, unnamed) in &updates {
            let with = |mask: &str| {
                let mut request = request.clone();
                request["updateMask"] = mask.into();
                request
            };
            for wrong in ["id", "version", "createTime", "nothing.like.it"] {
                let refusal = stage.call(Who::Owner, update, with(wrong)).await;
                let refusal = refusal.err().unwrap_or_else(|| panic!("{update} changes {wrong}"));
                assert_eq!(
                    (refusal.code, refusal.fields),
                    (Code::InvalidArgument, vec!["update_mask".to_owned()]),
                    "{update} {wrong}"
                );
            }
            let before =
                stage.ok(Who::Owner, &update.replace("Update", "Get"), request_of(update, request)).await;
            let after = stage.ok(Who::Owner, update, with(named)).await;
            assert_eq!(after[unnamed], before[unnamed], "{update} changed what the mask does not name");
            if *update != "UpdateChannel" {
                assert_ne!(after[named], before[named], "{update} did not change what the mask names");
            }
        }
        let covered = |name: &str| updates.iter().any(|(update, ..)| *update == name);
        for method in methods().filter(|method| method.input().get_field_by_name("update_mask").is_some()) {
            assert!(covered(method.name()), "{}", path(&method));
        }
        stage.stop().await;
    })
    .await;
}

/// What reads the row of an update: its id alone.
fn request_of(update: &str, request: &Value) -> Value {
    let id = match update {
        "UpdateChannel" => "channelId",
        "UpdateCustomer" => "customerId",
        "UpdateProduct" => "productId",
        "UpdateDocument" => "documentId",
        _ => return json!({}),
    };
    json!({ id: request[id] })
}
