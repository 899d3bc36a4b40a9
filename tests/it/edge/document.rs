//! The OpenAPI document over all of the contract, as the server serves it. An independent validator judges it in
//! `clients.rs`; this compares it with the contract, method by method and field by field.

use prost_reflect::{DynamicMessage, FieldDescriptor, MethodDescriptor, Value as Proto};
use serde_json::{Value, json};
use switchboard::access::{Audience, Policies};
use switchboard::edge::transcode::{BodyRule, Route, routes};

use super::client::address;
use crate::support::{Pair, Server, rpc};
use crate::transcoding::client::send;

/// Every binding is an operation with its comment, who may call it, what it costs and how it can fail; every request
/// and response field has its comment and its rules.
#[tokio::test]
async fn the_document_holds_all_of_the_contract() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let document = send(address(&server), "GET", "/openapi.json", &[], None).await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let policies = Policies::read(&rpc::POOL).unwrap();
    let mut checked = Checked::default();
    for route in routes(&rpc::POOL).unwrap() {
        let operation = operation(&document, &route.method);
        let policy = policies.of(&route.grpc_path()).expect("every rpc has a policy");
        check_text(&operation, &route.method);
        check_policy(&operation, policy);
        check_errors(&operation, policy.audience == Audience::Public, &route);
        check_request(&document, &operation, &route, &mut checked);
        checked.operations += 1;
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas.iter().filter(|(name, _)| name.starts_with("switchboard.")) {
        check_schema(name, schema, &mut checked);
    }
    assert_eq!(checked.operations, rpc::methods().count());
    assert!(checked.fields > 400 && checked.rules > 100, "{checked:?}");
}

/// How much was compared: a walk that finds nothing proves nothing.
#[derive(Debug, Default)]
struct Checked {
    operations: usize,
    fields: usize,
    rules: usize,
}

fn operation(document: &Value, method: &MethodDescriptor) -> Value {
    let items = document["paths"].as_object().unwrap().values();
    let mut found = items
        .flat_map(|item| item.as_object().unwrap().values())
        .filter(|operation| operation["x-grpc-method"] == method.full_name());
    let operation = found.next().unwrap_or_else(|| panic!("{} is missing", method.full_name()));
    assert!(found.next().is_none(), "{} is there twice", method.full_name());
    operation.clone()
}

/// The comment of what has this path in its file, on one line.
fn comment(file: &prost_reflect::FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.clone().unwrap();
    let location = info.location.into_iter().find(|location| location.path == path);
    one_line(location.and_then(|location| location.leading_comments).unwrap_or_default().as_str())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check_text(operation: &Value, method: &MethodDescriptor) {
    let name = method.full_name();
    let written = comment(&method.parent_file(), method.path());
    assert!(!written.is_empty(), "{name} has no comment");
    let shown = one_line(operation["description"].as_str().unwrap());
    assert!(shown.starts_with(&written), "{name}: {shown}");
    assert!(written.starts_with(operation["summary"].as_str().unwrap()), "{name}");
    assert_eq!(operation["tags"], json!([method.parent_service().name()]), "{name}");
    assert_eq!(operation["x-stream"] == true, method.is_server_streaming(), "{name}");
}

fn check_policy(operation: &Value, policy: &switchboard::access::MethodPolicy) {
    let name = policy.method.full_name();
    let rate = policy.rate.as_str_name().trim_start_matches("RATE_CLASS_");
    assert_eq!(operation["x-rate-class"], rate, "{name}");
    let permission = match policy.audience {
        Audience::Member(permission) => json!(permission.name()),
        _ => Value::Null,
    };
    assert_eq!(operation["x-permission"], permission, "{name}");
    assert_eq!(operation["x-audit"], json!(policy.audit.as_deref()), "{name}");
    let schemes: Vec<&str> = match (policy.audience, policy.api_key) {
        (Audience::Public, _) => vec![],
        (_, false) => vec!["session"],
        (_, true) => vec!["session", "apiKey"],
    };
    let shown: Vec<&String> = operation["security"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| one.as_object().unwrap().keys())
        .collect();
    assert_eq!(shown, schemes, "{name}");
    let description = operation["description"].as_str().unwrap();
    let paid =
        description.contains("Needs a running trial, subscription or grant: else `SUBSCRIPTION_REQUIRED`.");
    assert_eq!(paid, policy.subscription, "{name}");
    let active = description.contains("Refused for a restricted tenant: `TENANT_RESTRICTED`.");
    assert_eq!(active, policy.active_tenant, "{name}");
}

fn check_errors(operation: &Value, public: bool, route: &Route) {
    let name = route.method.full_name();
    let mut expected = vec!["400", "429", "503", "504", "default"];
    expected.extend(["401", "403"].iter().filter(|_| !public));
    expected.extend(["413", "415"].iter().filter(|_| route.body != BodyRule::None));
    let input = route.method.input();
    if input.fields().any(|field| field.name().ends_with("_id")) {
        expected.push("404");
    }
    if input.get_field_by_name("expected_version").is_some()
        || input.get_field_by_name("precondition").is_some()
    {
        expected.push("409");
    }
    for status in expected {
        let response = &operation["responses"][status];
        let schema = &response["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/Status", "{name}: {status}: {response}");
        assert!(!response["description"].as_str().unwrap().is_empty(), "{name}: {status}");
    }
}

fn check_request(document: &Value, operation: &Value, route: &Route, checked: &mut Checked) {
    let name = route.method.full_name();
    let none = Vec::new();
    let parameters = operation["parameters"].as_array().unwrap_or(&none);
    let in_path: Vec<_> = parameters.iter().filter(|parameter| parameter["in"] == "path").collect();
    assert_eq!(in_path.len(), route.variables.len(), "{name}");
    let schema = operation["requestBody"]["content"]["application/json"]["schema"].clone();
    let body = match schema["$ref"].as_str() {
        Some(target) => document.pointer(&target[1..]).unwrap().clone(),
        None => schema,
    };
    for field in route.method.input().fields() {
        let variable = route.variables.iter().position(|path| path == std::slice::from_ref(&field));
        let nested = route.variables.iter().any(|path| path.len() > 1 && path[0] == field);
        let place = format!("{name}: {}", field.name());
        if let Some(at) = variable {
            assert_eq!(in_path[at]["required"], true, "{place}");
            check_field(&place, &field, &beside(in_path[at]), checked);
        } else if route.body == BodyRule::Whole {
            check_property(&place, &field, &body, checked);
        } else if route.body != BodyRule::Field(field.clone()) && !nested {
            let whole = parameters.iter().find(|parameter| parameter["name"] == field.json_name());
            let part = format!("{}.", field.json_name());
            let parts =
                parameters.iter().any(|parameter| parameter["name"].as_str().unwrap().starts_with(&part));
            match whole {
                Some(parameter) => {
                    let required = parameter["required"] == true;
                    assert_eq!(required, is_required(&field), "{place}");
                    check_field(&place, &field, &beside(parameter), checked);
                }
                None => assert!(parts, "{place} is missing"),
            }
        }
    }
}

/// The schema of a parameter, with the description that stands beside it.
fn beside(parameter: &Value) -> Value {
    let mut schema = parameter["schema"].clone();
    schema["description"] = parameter["description"].clone();
    schema
}

fn check_schema(name: &str, schema: &Value, checked: &mut Checked) {
    if let Some(message) = rpc::POOL.get_message_by_name(name) {
        assert!(schema["description"].is_string(), "{name} has no comment");
        assert_eq!(schema["properties"].as_object().unwrap().len(), message.fields().len(), "{name}");
        for field in message.fields() {
            check_property(&format!("{name}.{}", field.name()), &field, schema, checked);
        }
        return;
    }
    let values = rpc::POOL.get_enum_by_name(name).unwrap_or_else(|| panic!("{name} is no type"));
    let names: Vec<String> = values.values().map(|value| value.name().to_owned()).collect();
    assert_eq!(schema["enum"], json!(names), "{name}");
    let description = schema["description"].as_str().unwrap();
    for value in names {
        assert!(description.contains(&format!("`{value}`: ")), "{name}: {value} has no comment");
    }
}

fn check_property(place: &str, field: &FieldDescriptor, object: &Value, checked: &mut Checked) {
    let schema = &object["properties"][field.json_name()];
    assert!(schema.is_object(), "{place} is missing");
    let none = Vec::new();
    let required = object["required"].as_array().unwrap_or(&none);
    assert_eq!(required.contains(&json!(field.json_name())), is_required(field), "{place}: required");
    check_field(place, field, schema, checked);
}

fn check_field(place: &str, field: &FieldDescriptor, schema: &Value, checked: &mut Checked) {
    let written = comment(&field.parent_message().parent_file(), field.path());
    assert!(!written.is_empty(), "{place} has no comment");
    assert!(
        one_line(schema["description"].as_str().unwrap_or_default()).contains(&written),
        "{place}: {schema}"
    );
    checked.fields += 1;
    if let Some(rules) = rules(field) {
        check_rules(place, &rules, schema, checked);
    }
}

fn rules(field: &FieldDescriptor) -> Option<DynamicMessage> {
    let extension = rpc::POOL.get_extension_by_name("buf.validate.field")?;
    let options = field.options();
    options.has_extension(&extension).then(|| options.get_extension(&extension).as_message().cloned())?
}

fn is_required(field: &FieldDescriptor) -> bool {
    let required = rules(field).and_then(|rules| rules.get_field_by_name("required")?.as_bool());
    required == Some(true)
}

/// Every rule has a keyword; one that this does not know fails.
fn check_rules(place: &str, rules: &DynamicMessage, schema: &Value, checked: &mut Checked) {
    for (kind, typed) in rules.fields() {
        let Some(typed) = typed.as_message() else { continue };
        for (rule, value) in typed.fields() {
            checked.rules += 1;
            let long = kind.name().ends_with("64");
            let (keyword, expected) = match (kind.name(), rule.name()) {
                ("string", "min_len") => ("minLength", plain(value)),
                ("string", "max_len") => ("maxLength", plain(value)),
                ("string", "pattern") => ("pattern", plain(value)),
                ("string", "in") => ("enum", plain(value)),
                ("string", "email") => ("format", json!("email")),
                ("string", "uri") => ("format", json!("uri")),
                ("repeated", "min_items") => ("minItems", plain(value)),
                ("repeated", "max_items") => ("maxItems", plain(value)),
                ("repeated", "unique") => ("uniqueItems", plain(value)),
                ("repeated", "items") => {
                    check_rules(place, value.as_message().unwrap(), &schema["items"], checked);
                    continue;
                }
                ("enum", "defined_only") => {
                    let target = schema["$ref"].as_str().unwrap_or_default();
                    assert!(target.starts_with("#/components/schemas/switchboard."), "{place}: {schema}");
                    continue;
                }
                // 64-bit integers are strings in JSON, for which the standard keywords do nothing.
                (_, "gte") if long => ("x-minimum", json!(plain(value).to_string())),
                (_, "lte") if long => ("x-maximum", json!(plain(value).to_string())),
                (_, "gte") => ("minimum", plain(value)),
                (_, "lte") => ("maximum", plain(value)),
                (_, "gt") => ("exclusiveMinimum", plain(value)),
                (_, "lt") => ("exclusiveMaximum", plain(value)),
                (kind, rule) => panic!("{place}: the rule {kind}.{rule} has no place in the document"),
            };
            assert_eq!(schema[keyword], expected, "{place}: {schema}");
        }
    }
}

fn plain(value: &Proto) -> Value {
    match value {
        Proto::String(text) => json!(text),
        Proto::Bool(flag) => json!(flag),
        Proto::I32(number) => json!(number),
        Proto::I64(number) => json!(number),
        Proto::U32(number) => json!(number),
        Proto::U64(number) => json!(number),
        Proto::F32(number) => json!(number),
        Proto::F64(number) => json!(number),
        Proto::List(values) => values.iter().map(plain).collect(),
        other => panic!("{other:?} in a rule"),
    }
}
