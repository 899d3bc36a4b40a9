//! The acceptance cases of pushing.

use serde_json::{Value, json};
use switchboard::id::TenantId;
use tonic::Code;

use super::{Copy, PRODUCTS, fresh, open, products, settled};
use crate::{
    conventions::stage::{Stage, Who},
    support::{
        app::{Person, TestApp},
        both,
    },
};

async fn push(app: &TestApp, person: &Person, changes: Value) -> Vec<Value> {
    let answer = app.ok("PushChanges", person, json!({"changes": changes})).await;
    answer["results"].as_array().unwrap().clone()
}

fn outcomes(results: &[Value]) -> Vec<&str> {
    let outcome = |result: &'_ Value| result["error"]["reason"].as_str().map(str::len);
    assert!(results.iter().all(|result| (outcome(result).is_none()) == (result["ok"] == true)));
    results.iter().map(|result| result["error"]["reason"].as_str().unwrap_or("ok")).collect()
}

/// Acceptance case 146, with a number that is taken where the seed had a reference to nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_change_keeps_no_other_back() {
    both(async |pair| {
        let (app, ada, running) = open(&pair).await;
        let ids: Vec<String> = (0..3).map(|_| fresh(&app)).collect();
        let changes = json!([
            {"createProduct": {"id": ids[0], "name": "One", "sku": "A"}},
            {"createProduct": {"id": ids[1], "name": "Two", "sku": "A"}},
            {"createProduct": {"id": ids[2], "name": "Three"}},
        ]);
        let results = push(&app, &ada, changes.clone()).await;
        assert_eq!(outcomes(&results), ["ok", "ALREADY_EXISTS", "ok"]);
        assert_eq!(results.iter().map(|result| result["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
        assert_eq!(results[2]["row"]["product"]["name"], "Three");
        assert!(results[1]["row"].is_null());

        // Meanwhile somebody renames one: the repetition answers the row as it is.
        app.ok("UpdateProduct", &ada, json!({"productId": ids[0], "name": "Uno"})).await;
        let again = push(&app, &ada, changes).await;
        assert_eq!(outcomes(&again), ["ok", "ALREADY_EXISTS", "ok"]);
        assert_eq!(again[0]["row"]["product"]["name"], "Uno");
        assert_eq!(push(&app, &ada, json!([])).await, Vec::<Value>::new());

        // Nothing of the refused one was told.
        settled(&pair).await;
        let listed = app.ok("ListProducts", &ada, json!({})).await;
        assert_eq!(listed["products"].as_array().unwrap().len(), 2);
        let told = app.ok("PullEvents", &ada, json!({"types": ["tenant.updated"]})).await;
        let told =
            told["events"].as_array().unwrap().iter().filter(|event| event["subject"] == ids[1].as_str());
        assert_eq!(told.count(), 0);
        running.stop().await;
    })
    .await;
}

/// Acceptance case 147, with documents where the seed had journal entries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_comes_twice_is_one_row_and_is_told_once() {
    both(async |pair| {
        let (app, ada, running) = open(&pair).await;
        let id = fresh(&app).replace("prd_", "doc_");
        let document = |content: &str| {
            json!([{"createDocument":
                {"id": id, "title": "Delivery", "content": content, "documentType": "DOCUMENT_TYPE_DELIVERY"}}])
        };
        let first = push(&app, &ada, document("Two days.")).await;
        let again = push(&app, &ada, document("Two days.")).await;
        assert_eq!((outcomes(&first), &first), (vec!["ok"], &again));
        settled(&pair).await;
        let told = app.ok("PullEvents", &ada, json!({"types": ["tenant.updated"]})).await;
        let told = told["events"].as_array().unwrap().iter().filter(|event| event["subject"] == id.as_str());
        assert_eq!(told.count(), 1);
        for content in [String::new(), "x".repeat(50_001)] {
            let changes = json!({"changes": document(&content)});
            let refusal = app.call("PushChanges", Some(&ada.token), changes).await.unwrap_err();
            assert_eq!(refusal.code, Code::InvalidArgument);
            assert_eq!(refusal.fields, ["changes[0].create_document.content"]);
        }
        running.stop().await;
    })
    .await;
}

/// Every kind of change, its conflict, and its repetition.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_refused_when_the_row_is_another_by_now() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        let (app, ada) = (&stage.app, &stage.owner);
        let customer = stage.writes("15550000001").await["customerId"].clone();
        let product = products(app, ada, 1).await.remove(0);
        let document = fresh(app).replace("prd_", "doc_");
        let made = json!([{"createDocument":
            {"id": document, "title": "a", "content": "b", "documentType": "DOCUMENT_TYPE_FAQ"}}]);
        push(app, ada, made).await;

        let changes = |version: i64, name: &str| {
            json!([
                {"updateProduct": {"productId": product, "name": name, "expectedVersion": version}},
                {"updateDocument": {"documentId": document, "title": name, "expectedVersion": version}},
                {"updateCustomer": {"customerId": customer, "displayName": name, "expectedVersion": version}},
            ])
        };
        let names = |results: &[Value]| {
            let row = |at: usize, kind: &str, field: &str| results[at]["row"][kind][field].clone();
            [row(0, "product", "name"), row(1, "document", "title"), row(2, "customer", "displayName")]
        };
        let done = push(app, ada, changes(1, "mine")).await;
        assert_eq!(outcomes(&done), ["ok"; 3]);
        assert_eq!(names(&done), ["mine"; 3]);
        // The answer was lost, and the client says the same of the version it knew.
        let again = push(app, ada, changes(1, "mine")).await;
        assert_eq!((outcomes(&again), &again), (vec!["ok"; 3], &done));
        let stale = push(app, ada, changes(1, "theirs")).await;
        assert_eq!(outcomes(&stale), ["VERSION_MISMATCH"; 3]);
        assert_eq!(names(&stale), ["mine"; 3], "the rows as they are now");

        let gone = json!([
            {"deleteProduct": {"productId": product, "expectedVersion": 1}},
            {"deleteProduct": {"productId": product, "expectedVersion": 2}},
            {"deleteDocument": {"documentId": document}},
            {"updateProduct": {"productId": product, "name": "late"}},
            {"updateCustomer": {"customerId": fresh(app).replace("prd_", "cus_"), "displayName": "nobody"}},
            {"updateProduct": {"productId": fresh(app), "name": ""}},
        ]);
        let refused = app.call("PushChanges", Some(&ada.token), json!({"changes": gone})).await.unwrap_err();
        assert_eq!(refused.fields, ["changes[5].update_product.name"], "a rule of fields refuses the whole");
        let gone = Value::from(gone.as_array().unwrap()[..5].to_vec());
        let results = push(app, ada, gone.clone()).await;
        assert_eq!(outcomes(&results), ["VERSION_MISMATCH", "ok", "ok", "NOT_FOUND", "NOT_FOUND"]);
        assert_eq!(results[1]["row"]["deleted"], true);
        let again = push(app, ada, gone).await;
        assert_eq!(outcomes(&again), ["ok", "ok", "ok", "NOT_FOUND", "NOT_FOUND"]);

        let checked =
            json!({"changes": [{"createProduct": {"id": fresh(app), "name": "a", "validateOnly": true}}]});
        let refused = app.call("PushChanges", Some(&ada.token), checked).await.unwrap_err();
        assert_eq!(refused.fields, ["changes[0].create_product.validate_only"]);
        for (empty, field) in [
            (json!([{}]), "changes[0]"),
            (json!([{"createProduct": {"name": "a"}}]), "changes[0].create_product.id"),
        ] {
            let refused =
                app.call("PushChanges", Some(&ada.token), json!({"changes": empty})).await.unwrap_err();
            assert_eq!(refused.fields, [field]);
        }
        let many = vec![json!({"deleteProduct": {"productId": product}}); 101];
        let refused = app.call("PushChanges", Some(&ada.token), json!({"changes": many})).await.unwrap_err();
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["changes".to_owned()]));
        stage.stop().await;
    })
    .await;
}

/// A push under a key happens once, and each kind of change needs its own permission.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_happens_once_under_its_key_and_by_those_who_may() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        let (app, ada) = (&stage.app, &stage.owner);
        let id = fresh(app);
        let changes = json!({"changes": [
            {"createProduct": {"id": id, "name": "a"}},
            {"updateProduct": {"productId": id, "description": "b"}}]});
        let first = stage.keyed(Who::Owner, "push", "PushChanges", changes.clone()).await.unwrap();
        app.ok("DeleteProduct", ada, json!({"productId": id})).await;
        let again = stage.keyed(Who::Owner, "push", "PushChanges", changes.clone()).await.unwrap();
        assert_eq!(first, again);
        let listed = app.ok("ListProducts", ada, json!({})).await;
        assert_eq!(listed["products"], json!([]), "it is not made again");

        let viewer = app.join(ada, "viewer@shop.example", "ROLE_VIEWER").await;
        let refused = app.call("PushChanges", Some(&viewer.token), changes.clone()).await.unwrap_err();
        assert_eq!((refused.code, refused.reason.as_str()), (Code::PermissionDenied, "PERMISSION_REQUIRED"));
        let key = json!({"name": "k",
            "permissions": ["PERMISSION_VIEW_CONVERSATIONS", "PERMISSION_MANAGE_KNOWLEDGE_BASE"]});
        let key = app.ok("CreateApiKey", ada, key).await;
        let key = key["secret"].as_str().unwrap();
        let refused = app.call("PushChanges", Some(key), changes).await.unwrap_err();
        assert_eq!(refused.code, Code::PermissionDenied);
        let document = json!({"changes": [{"createDocument":
            {"id": fresh(app).replace("prd_", "doc_"), "title": "a", "content": "b"}}]});
        app.call("PushChanges", Some(key), document).await.unwrap();
        let customers = json!({"collection": "COLLECTION_CUSTOMERS"});
        let refused = app.call("PullChanges", Some(key), customers).await.unwrap_err();
        assert_eq!(refused.code, Code::PermissionDenied);
        app.call("PullChanges", Some(key), json!({"collection": PRODUCTS.0})).await.unwrap();
        stage.stop().await;
    })
    .await;
}

/// What another tenant's rows are called says nothing here, and an id of theirs is free for a row of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenants_rows_are_not_there() {
    both(async |pair| {
        let (app, ada, running) = open(&pair).await;
        let bob = app.sign_up("bob@example.com").await;
        let theirs = products(&app, &bob, 1).await.remove(0);
        let results = push(
            &app,
            &ada,
            json!([
                {"updateProduct": {"productId": theirs, "name": "mine"}},
                {"deleteProduct": {"productId": theirs}},
                {"createProduct": {"id": theirs, "name": "my own"}},
            ]),
        )
        .await;
        assert_eq!(outcomes(&results), ["NOT_FOUND", "ok", "ok"]);
        settled(&pair).await;
        for (person, name) in [(&ada, "my own"), (&bob, "Bike")] {
            let mut copy = Copy::default();
            copy.cycle(&app, person, PRODUCTS.0, 10).await;
            assert_eq!(copy.rows.len(), 1, "{}", person.tenant.parse::<TenantId>().unwrap());
            assert_eq!(copy.rows[&theirs]["product"]["name"], name);
        }
        running.stop().await;
    })
    .await;
}
