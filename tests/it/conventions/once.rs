//! Commands without an id of the client's own: an idempotency key makes them happen once.

use serde_json::json;
use switchboard::{access::Audience, wire::policy::v1::RateClass};

use super::stage::{Stage, Who};
use crate::support::{
    both,
    rpc::{methods, path},
};

/// Changes of rows are sent twice where their versions are tested.
const CHANGES: [&str; 9] =
    ["Update", "Delete", "Remove", "Set", "Block", "Revoke", "Cancel", "Resolve", "Retry"];

/// Their own tests send these twice, or twice is as good as once.
const OTHERS: [&str; 13] = [
    "AssignConversation",
    "ReleaseConversation",
    "CloseConversation",
    "ReopenConversation",
    "MarkConversationRead",
    "Escalate",
    "Reject",
    "Approve",
    "Edit",
    "StartTrial",
    "TestChannel",
    "RevokeInvite",
    "PushChanges",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_under_a_key_happens_once() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        let conversation = stage.writes("15550000001").await;
        stage.draft(&conversation).await;
        let document = json!({"title": "a", "content": "b", "documentType": "DOCUMENT_TYPE_FAQ"});
        let key = json!({"name": "a", "permissions": ["PERMISSION_VIEW_CONVERSATIONS"]});
        let creations = [
            ("CreateChannel", json!({"name": "a", "webhook": {}}), "ListChannels", "channels"),
            ("CreateProduct", json!({"name": "a"}), "ListProducts", "products"),
            ("CreateDocument", document, "ListDocuments", "documents"),
            ("CreateApiKey", key, "ListApiKeys", "apiKeys"),
            (
                "InviteMember",
                json!({"email": "b@c.example", "role": "ROLE_VIEWER"}),
                "ListInvites",
                "invites",
            ),
            (
                "SendMessage",
                json!({"conversationId": conversation["id"], "text": "hello"}),
                "ListMessages",
                "messages",
            ),
            (
                "GenerateSuggestion",
                json!({"conversationId": conversation["id"]}),
                "ListConversations",
                "conversations",
            ),
        ];
        for (method, request, list, rows) in &creations {
            let asked = if *list == "ListMessages" {
                json!({"conversationId": conversation["id"]})
            } else {
                json!({})
            };
            let count = async || {
                let listed = stage.ok(Who::Owner, list, asked.clone()).await;
                listed[rows].as_array().unwrap().len()
            };
            let before = count().await;
            let first = stage.keyed(Who::Owner, method, method, request.clone()).await.unwrap();
            let again = stage.keyed(Who::Owner, method, method, request.clone()).await.unwrap();
            assert_eq!(first, again, "{method}");
            let made = usize::from(*method != "GenerateSuggestion");
            assert_eq!(count().await, before + made, "{method}");
        }
        // A new command is asked for its place here.
        let policies = stage.app.app.policies();
        let missed: Vec<_> = methods()
            .filter(|method| {
                let policy = policies.of(&path(method)).unwrap();
                let writes = matches!(policy.rate, RateClass::Write | RateClass::Ai | RateClass::Bulk);
                writes && matches!(policy.audience, Audience::Member(_))
            })
            .map(|method| method.name().to_owned())
            .filter(|name| !CHANGES.iter().any(|word| name.starts_with(word)))
            .filter(|name| !OTHERS.contains(&name.as_str()))
            .filter(|name| !creations.iter().any(|(method, ..)| method == name))
            .collect();
        assert_eq!(missed, Vec::<String>::new());
        stage.stop().await;
    })
    .await;
}
