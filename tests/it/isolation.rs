//! Tenants cannot reach each other: every method is called with another tenant's ids, and answers what
//! it answers for ids that nobody has.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
};

use chrono::{SecondsFormat, TimeDelta};
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

/// The platform's staff: only they make what tenants are given.
const STAFF: (&str, &str) = ("root@platform.example", "Staff-password-9");

/// A tenant that has one of everything, and the platform's staff.
async fn settled(app: &TestApp) -> (Person, String, HashMap<&'static str, String>) {
    let theirs = app.sign_up("them@shop.example").await;
    let staff = json!({"email": STAFF.0, "password": STAFF.1});
    let staff = app.call("AuthService.SignIn", None, staff).await.expect("the platform has an owner");
    let staff = staff["sessionToken"].as_str().unwrap().to_owned();
    let ids = belongings(app, &theirs, &staff).await;
    (theirs, staff, ids)
}

/// An id of every kind that a tenant can own, as its tenant sees them.
async fn belongings(app: &TestApp, owner: &Person, staff: &str) -> HashMap<&'static str, String> {
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
    let end = (app.store().env().now() + TimeDelta::days(30)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let grant = json!({"tenantId": owner.tenant, "endTime": end, "reason": "goodwill"});
    let grant = app.call("GrantService.CreateGrant", Some(staff), grant).await.expect("granted");
    let talk = crate::support::talk::begin(app, owner, channel["channel"]["id"].as_str().unwrap(), "s").await;
    let suggestion = drafted(app, owner).await;
    let escalate = json!({"suggestionId": suggestion, "reason": "ask a person"});
    let escalated = app.ok("SuggestionService.Escalate", owner, escalate).await;
    let jobs = json!({"tenantId": owner.tenant});
    let jobs = app.call("JobService.ListJobs", Some(staff), jobs).await.expect("staff see jobs");
    HashMap::from([
        ("chn", text(&channel["channel"]["id"])),
        ("doc", text(&document["id"])),
        ("prd", text(&product["id"])),
        ("key", text(&key["apiKey"]["id"])),
        ("inv", text(&invite["invite"]["id"])),
        ("mem", text(&members["members"][0]["id"])),
        ("usr", owner.user.clone()),
        ("ten", owner.tenant.clone()),
        ("grt", text(&grant["id"])),
        ("con", talk.conversation),
        ("cus", talk.customer),
        ("msg", talk.message),
        ("sug", suggestion),
        ("esc", text(&escalated["escalationId"])),
        ("job", text(&jobs["jobs"][0]["id"])),
    ])
}

/// The draft that the customer's message brings about: only background work makes one.
async fn drafted(app: &TestApp, owner: &Person) -> String {
    let (_, running) = app.serve().await;
    let drafted = async {
        loop {
            let listed = app.ok("SuggestionService.ListSuggestions", owner, json!({})).await;
            if let Some(id) = listed["suggestions"][0]["id"].as_str() {
                return id.to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let drafted = tokio::time::timeout(std::time::Duration::from_secs(60), drafted).await;
    running.stop().await;
    drafted.expect("a draft")
}

/// Whether a field is the id that something new is to have: it names nothing that exists.
fn chosen_by_caller(field: &FieldDescriptor) -> bool {
    let created = field.name().strip_suffix("_id").map(|name| name.replace('_', ""));
    let request = field.parent_message().name().to_lowercase();
    field.name() == "id" || created.is_some_and(|name| request == format!("create{name}request"))
}

/// The id kind that a field takes, by its name: `conversation_id` → `con`.
fn kind(field: &FieldDescriptor) -> Option<&'static str> {
    let name = field.name().strip_suffix("_ids").or_else(|| field.name().strip_suffix("_id"))?;
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

/// A request with `ids` in every id field, and something acceptable in the others; of a choice, the variant
/// number `variant`.
fn fill(
    descriptor: &MessageDescriptor,
    ids: &dyn Fn(&str) -> Option<String>,
    variant: usize,
    depth: usize,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if field.is_map() || !chosen(&field, variant) {
            continue;
        }
        let value = match field.kind() {
            Kind::String if chosen_by_caller(&field) => continue,
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
                Value::Message(fill(&inner, ids, variant, depth + 1))
            }
            _ => continue,
        };
        message.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
    }
    message
}

/// Whether a field is the one of its choice to fill.
fn chosen(field: &FieldDescriptor, variant: usize) -> bool {
    let Some(choice) = field.containing_oneof() else { return true };
    let variants: Vec<_> = choice.fields().map(|field| field.number()).collect();
    variants[variant % variants.len()] == field.number()
}

/// How many requests it takes to fill every variant of every choice.
fn variants(descriptor: &MessageDescriptor, depth: usize) -> usize {
    let own = descriptor.oneofs().map(|choice| choice.fields().len());
    let inner = descriptor.fields().filter_map(|field| match field.kind() {
        Kind::Message(inner) if inner.full_name().starts_with("switchboard.") && depth < 3 => {
            Some(variants(&inner, depth + 1))
        }
        _ => None,
    });
    own.chain(inner).max().unwrap_or(1).max(1)
}

/// The kinds of ids that requests of a method name, at any depth.
fn kinds(method: &MethodDescriptor) -> BTreeSet<&'static str> {
    let named = Mutex::new(BTreeSet::new());
    for variant in 0..variants(&method.input(), 0) {
        let note = |prefix: &str| {
            let known = PREFIXES.iter().find(|(known, _)| *known == prefix);
            named.lock().unwrap().extend(known.map(|(known, _)| *known));
            None
        };
        fill(&method.input(), &note, variant, 0);
    }
    named.into_inner().unwrap()
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
        let settings = [
            ("SWITCHBOARD_OWNER_EMAIL", STAFF.0),
            ("SWITCHBOARD_OWNER_PASSWORD", STAFF.1),
            ("SWITCHBOARD_DEBOUNCE_MS", "0"),
            ("SWITCHBOARD_RATE_READ", "off"),
            ("SWITCHBOARD_RATE_WRITE", "off"),
            ("SWITCHBOARD_RATE_AI", "off"),
            ("SWITCHBOARD_RATE_AUTH_ADDRESS", "off"),
        ];
        let app = TestApp::with(&pair, &settings).await;
        let (theirs, staff, ids) = settled(&app).await;
        let ours = app.sign_up("us@shop.example").await;
        let nobodys: HashMap<&str, String> = PREFIXES
            .iter()
            .map(|(prefix, _)| (*prefix, format!("{prefix}_01h2xcejqtf2nbrexx3vqjhp41")))
            .collect();
        let before = snapshot(&app, &theirs, &staff, &ids["con"]).await;

        let (mut walked, mut missed, mut found) = (0, 0, Vec::new());
        for method in rpc::methods() {
            let named = kinds(&method);
            let unknown: Vec<_> = named.iter().filter(|prefix| !ids.contains_key(**prefix)).collect();
            assert!(unknown.is_empty(), "{}: no {unknown:?} of theirs to try", method.full_name());
            for variant in (0..variants(&method.input(), 0)).filter(|_| !named.is_empty()) {
                // The platform's own staff works across tenants; a stranger is refused before any id is read.
                let of = |ids: &HashMap<&str, String>| {
                    fill(&method.input(), &|prefix| ids.get(prefix).cloned(), variant, 0)
                };
                let (foreign, missing) = (of(&ids), of(&nobodys));
                let (foreign, missing) = (
                    answer(&app, &method, &ours, &foreign).await,
                    answer(&app, &method, &ours, &missing).await,
                );
                walked += 1;
                missed += usize::from(missing.0 == Code::NotFound);
                if foreign != missing {
                    found.push(format!(
                        "{}: {foreign:?} for a foreign id, {missing:?} for nobody's",
                        method.full_name()
                    ));
                }
            }
        }

        assert_eq!(found, Vec::<String>::new());
        assert!(walked > 50, "only {walked} requests take ids");
        assert!(missed > 30, "only {missed} requests came as far as the id");
        let after = snapshot(&app, &theirs, &staff, &ids["con"]).await;
        assert_eq!(after, before, "something of theirs changed");
    })
    .await;
}

/// What the other tenant has, as it sees it, and as the platform does.
async fn snapshot(
    app: &TestApp,
    owner: &Person,
    staff: &str,
    conversation: &str,
) -> Vec<(&'static str, serde_json::Value)> {
    let mut all = Vec::new();
    for (list, request) in [
        ("ChannelService.ListChannels", json!({})),
        ("ConversationService.ListConversations", json!({})),
        ("MessageService.ListMessages", json!({"conversationId": conversation})),
        ("SuggestionService.ListSuggestions", json!({})),
        ("EscalationService.ListEscalations", json!({})),
        ("CustomerService.ListCustomers", json!({})),
        ("KnowledgeService.ListDocuments", json!({})),
        ("CatalogService.ListProducts", json!({})),
        ("MemberService.ListMembers", json!({})),
        ("ApiKeyService.ListApiKeys", json!({})),
        ("MemberService.ListInvites", json!({})),
        ("TenantService.GetTenant", json!({})),
    ] {
        all.push((list, app.ok(list, owner, request).await));
    }
    let grants = json!({"tenantId": owner.tenant});
    all.push(("ListGrants", app.call("GrantService.ListGrants", Some(staff), grants).await.expect("grants")));
    all
}

/// The walk must find what it looks for: a method that names the field is filled with the foreign id.
#[test]
fn foreign_ids_land_in_the_fields_they_are_for() {
    let method = rpc::method("MessageService.SendMessage");
    let request = fill(&method.input(), &|prefix| Some(format!("{prefix}_x")), 0, 0);
    let field = |name: &str| request.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
    assert_eq!(field("conversation_id"), "con_x");
    assert_eq!(field("reply_to_id"), "msg_x");
    let precondition = request.get_field_by_name("precondition").unwrap();
    let inner = precondition.as_message().unwrap();
    assert_eq!(inner.get_field_by_name("last_message_id").unwrap().as_str(), Some("msg_x"));
    assert_eq!(inner.descriptor().name(), "Precondition");
}

/// Choices and lists are filled too, each variant once.
#[test]
fn every_variant_of_a_choice_is_tried() {
    let method = rpc::method("ChannelService.UpdateChannel");
    assert_eq!(variants(&method.input(), 0), 3);
    let filled = |variant| {
        let request = fill(&method.input(), &|prefix| Some(format!("{prefix}_x")), variant, 0);
        ["whatsapp", "telegram", "webhook"].map(|name| request.has_field_by_name(name))
    };
    assert_eq!(filled(0), [true, false, false]);
    assert_eq!(filled(1), [false, true, false]);
    assert_eq!(filled(2), [false, false, true]);
    let key = fill(&rpc::method("ApiKeyService.CreateApiKey").input(), &|_| None, 0, 0);
    assert_eq!(key.get_field_by_name("permissions").unwrap().as_list().unwrap().len(), 1);
    assert!(kinds(&rpc::method("GrantService.RevokeGrant")).contains("grt"));
    assert!(kinds(&rpc::method("MessageService.SendMessage")).contains("msg"));
}
