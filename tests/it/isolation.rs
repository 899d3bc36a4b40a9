//! Tenants cannot reach each other: every method is called with another tenant's ids, and answers what
//! it answers for ids that nobody has.

use std::collections::HashMap;

use prost::Message;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ReflectMessage, Value,
};
use serde_json::json;
use switchboard::id::PREFIXES;
use tonic::Code;

use crate::support::{
    app::{Person, TestApp},
    both, rpc,
};

/// An id of every kind that a tenant can own, as its tenant sees them.
async fn belongings(app: &TestApp, owner: &Person) -> HashMap<&'static str, String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let channel = json!({"name": "WhatsApp",
        "whatsapp": {"phoneNumberId": "810000000000007", "apiBaseUrl": "http://127.0.0.1:9"},
        "whatsappSecrets": {"accessToken": "t", "appSecret": "s"}});
    let channel = app.ok("ChannelService.CreateChannel", owner, channel).await;
    let document =
        json!({"title": "Delivery", "content": "One day.", "documentType": "DOCUMENT_TYPE_DELIVERY"});
    let document = app.ok("KnowledgeService.CreateDocument", owner, document).await;
    let product = app.ok("CatalogService.CreateProduct", owner, json!({"name": "Bike", "sku": "B1"})).await;
    let key = json!({"name": "sync", "permissions": ["PERMISSION_VIEW_CONVERSATIONS"]});
    let key = app.ok("ApiKeyService.CreateApiKey", owner, key).await;
    let invite = json!({"email": "someone@else.example", "role": "ROLE_VIEWER"});
    let invite = app.ok("MemberService.InviteMember", owner, invite).await;
    let members = app.ok("MemberService.ListMembers", owner, json!({})).await;
    let talk = crate::support::talk::begin(app, owner, channel["channel"]["id"].as_str().unwrap(), "s").await;
    HashMap::from([
        ("chn", text(&channel["channel"]["id"])),
        ("doc", text(&document["id"])),
        ("prd", text(&product["id"])),
        ("key", text(&key["apiKey"]["id"])),
        ("inv", text(&invite["invite"]["id"])),
        ("mem", text(&members["members"][0]["id"])),
        ("usr", owner.user.clone()),
        ("ten", owner.tenant.clone()),
        ("con", talk.conversation),
        ("cus", talk.customer),
        ("msg", talk.message),
    ])
}

/// The id kind that a field takes, by its name: `conversation_id` → `con`; a bare `id` is chosen by the
/// caller and names nothing that exists.
fn kind(field: &FieldDescriptor) -> Option<&'static str> {
    let name = field.name().strip_suffix("_id")?;
    if field.kind() != Kind::String {
        return None;
    }
    let by_role = match name {
        "assignee" | "operator" => "user",
        "last_message" | "reply_to" => "message",
        other => other,
    };
    let words = by_role.replace('_', " ");
    PREFIXES.iter().find(|(_, kind)| kind.to_lowercase() == words).map(|(prefix, _)| *prefix)
}

/// A request with `ids` in every id field, and something acceptable in the others.
fn fill(
    descriptor: &MessageDescriptor,
    ids: &dyn Fn(&str) -> Option<String>,
    depth: usize,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if field.containing_oneof().is_some() || field.is_list() || field.is_map() {
            continue;
        }
        let value = match field.kind() {
            Kind::String if field.name() == "id" => continue,
            Kind::String => match kind(&field) {
                Some(prefix) => match ids(prefix) {
                    Some(id) => Value::String(id),
                    None => continue,
                },
                None if field.name() == "email" => Value::String("nobody@else.example".to_owned()),
                None if field.name() == "page_token" => continue,
                None => Value::String("text".to_owned()),
            },
            Kind::Enum(kind) => Value::EnumNumber(kind.values().nth(1).map_or(0, |value| value.number())),
            Kind::Message(inner) if inner.full_name().starts_with("switchboard.") && depth < 3 => {
                Value::Message(fill(&inner, ids, depth + 1))
            }
            _ => continue,
        };
        message.set_field(&field, value);
    }
    message
}

fn takes_ids(descriptor: &MessageDescriptor) -> bool {
    descriptor.fields().any(|field| kind(&field).is_some())
}

async fn answer(
    app: &TestApp,
    method: &MethodDescriptor,
    caller: &Person,
    request: &DynamicMessage,
) -> (Code, String) {
    let (path, request) = (rpc::path(method), request.encode_to_vec());
    let sent = rpc::call_bytes(app.grpc(), &path, Some(&caller.token), &request);
    match tokio::time::timeout(std::time::Duration::from_secs(5), sent).await {
        Ok(Ok(messages)) => {
            (Code::Ok, format!("{} bytes", messages.iter().map(bytes::Bytes::len).sum::<usize>()))
        }
        Ok(Err(refusal)) => (refusal.code, refusal.reason),
        // A stream that waits for events of its own tenant.
        Err(_) => (Code::Ok, "a silent stream".to_owned()),
    }
}

/// Product promise 5. A new method is covered the moment it exists.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_answers_for_a_foreign_id_what_it_answers_for_one_that_nobody_has() {
    both(async |pair| {
        let app = TestApp::start(&pair).await;
        let theirs = app.sign_up("them@shop.example").await;
        let ids = belongings(&app, &theirs).await;
        let ours = app.sign_up("us@shop.example").await;
        let nobodys: HashMap<&str, String> = PREFIXES
            .iter()
            .map(|(prefix, _)| (*prefix, format!("{prefix}_01h2xcejqtf2nbrexx3vqjhp41")))
            .collect();
        let before = snapshot(&app, &theirs).await;

        let (mut walked, mut found) = (0, Vec::new());
        for method in rpc::methods().filter(|method| takes_ids(&method.input())) {
            // The platform's own staff works across tenants; a stranger is refused before any id is read.
            let foreign =
                fill(&method.input(), &|prefix| ids.get(prefix).or_else(|| nobodys.get(prefix)).cloned(), 0);
            let missing = fill(&method.input(), &|prefix| nobodys.get(prefix).cloned(), 0);
            let (foreign, missing) =
                (answer(&app, &method, &ours, &foreign).await, answer(&app, &method, &ours, &missing).await);
            walked += 1;
            if foreign != missing {
                found.push(format!(
                    "{}: {foreign:?} for a foreign id, {missing:?} for nobody's",
                    method.full_name()
                ));
            }
        }

        assert_eq!(found, Vec::<String>::new());
        assert!(walked > 40, "only {walked} methods take ids");
        assert_eq!(snapshot(&app, &theirs).await, before, "something of theirs changed");
    })
    .await;
}

/// What the other tenant has, as it sees it.
async fn snapshot(app: &TestApp, owner: &Person) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    for list in [
        "ChannelService.ListChannels",
        "ConversationService.ListConversations",
        "CustomerService.ListCustomers",
        "KnowledgeService.ListDocuments",
        "CatalogService.ListProducts",
        "MemberService.ListMembers",
        "ApiKeyService.ListApiKeys",
        "MemberService.ListInvites",
    ] {
        all.push(app.ok(list, owner, json!({})).await);
    }
    all
}

/// The walk must find what it looks for: a method that names the field is filled with the foreign id.
#[test]
fn foreign_ids_land_in_the_fields_they_are_for() {
    let method = rpc::method("MessageService.SendMessage");
    let request = fill(&method.input(), &|prefix| Some(format!("{prefix}_x")), 0);
    let field = |name: &str| request.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
    assert_eq!(field("conversation_id"), "con_x");
    assert_eq!(field("reply_to_id"), "msg_x");
    let precondition = request.get_field_by_name("precondition").unwrap();
    let inner = precondition.as_message().unwrap();
    assert_eq!(inner.get_field_by_name("last_message_id").unwrap().as_str(), Some("msg_x"));
    assert_eq!(inner.descriptor().name(), "Precondition");
}
