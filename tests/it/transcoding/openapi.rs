//! The OpenAPI document.

use http::Method;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde_json::{Value, json};
use switchboard::edge::openapi::{Info, MethodExtras, document};
use switchboard::edge::transcode::{Accepts, routes};

use super::pool;

fn extras(method: &MethodDescriptor) -> MethodExtras {
    MethodExtras {
        security: vec!["bearer".into()],
        notes: vec![format!("Needs the permission to call {}.", method.name())],
        errors: vec![(404, "No such gadget.".into()), (404, "No such place.".into())],
        extensions: [("x-rate".to_owned(), json!("READ"))].into_iter().collect(),
    }
}

fn made(pool: &DescriptorPool) -> Value {
    let bearer = json!({"type": "http", "scheme": "bearer"});
    let info = Info {
        title: "Fixture".into(),
        version: "1".into(),
        description: "A fixture.".into(),
        servers: vec!["https://api.example.com".into()],
        security_schemes: [("bearer".to_owned(), bearer)].into_iter().collect(),
    };
    document(pool, &info, &extras).unwrap()
}

#[test]
fn every_binding_is_an_operation() {
    let pool = pool();
    let document = made(&pool);
    let operations: usize =
        document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(operations, routes(&pool).unwrap().len());
    assert_eq!(
        document["paths"]["/v1/projects/{project}/widgets/{widget}"]["get"]["operationId"],
        "WidgetService_GetWidget"
    );
    assert_eq!(document["paths"]["/v1alias/{name}"]["get"]["operationId"], "WidgetService_GetWidget_2");
    assert!(document["paths"]["/v1/projects/{project}/widgets/{widget}:archive"]["post"].is_object());
}

#[test]
fn an_operation_says_what_proto_and_caller_know() {
    let document = made(&pool());
    let update = &document["paths"]["/v1/gadgets/{gadget}"]["patch"];
    assert_eq!(update["summary"], "Changes a gadget");
    assert_eq!(
        update["description"],
        "Changes a gadget. Absent fields stay.\n\nNeeds the permission to call UpdateGadget."
    );
    assert_eq!(update["security"], json!([{"bearer": []}]));
    assert_eq!(update["x-rate"], "READ");
    assert_eq!(update["responses"]["404"]["description"], "No such gadget.\n\nNo such place.");
    assert_eq!(
        update["responses"]["default"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Status"
    );
    let names: Vec<_> = update["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["in"].clone(), p["name"].clone()))
        .collect();
    assert_eq!(names, [(json!("path"), json!("gadget")), (json!("query"), json!("updateMask"))]);
    let follow = &document["paths"]["/v1/gadgets:follow"]["get"];
    assert_eq!(follow["x-stream"], true);
    let content = follow["responses"]["200"]["content"].as_object().unwrap();
    assert!(content.contains_key("application/x-ndjson") && content.contains_key("text/event-stream"));
    assert!(document["paths"].as_object().unwrap().keys().all(|path| !path.contains("Hidden")));
}

#[test]
fn fields_carry_comments_and_rules() {
    let document = made(&pool());
    let gadget = &document["components"]["schemas"]["acme.gadgets.v1.Gadget"];
    assert_eq!(gadget["description"], "A small machine.");
    assert_eq!(
        gadget["properties"]["displayName"],
        json!({"type": "string", "description": "What people call it.", "minLength": 1, "maxLength": 40, "pattern": "^[a-z]+$"})
    );
    assert_eq!(gadget["properties"]["stock"]["x-minimum"], "0");
    assert_eq!(gadget["properties"]["stock"]["format"], "int64");
    let size = &gadget["properties"]["size"];
    assert_eq!((&size["minimum"], &size["maximum"]), (&json!(1), &json!(900)));
    let tags = &gadget["properties"]["tags"];
    assert_eq!((&tags["maxItems"], &tags["items"]["maxLength"]), (&json!(5), &json!(9)));
    let level = &document["components"]["schemas"]["acme.gadgets.v1.Level"];
    assert_eq!(level["enum"], json!(["LEVEL_UNSPECIFIED", "LEVEL_LOW", "LEVEL_HIGH"]));
    assert!(level["description"].as_str().unwrap().contains("- `LEVEL_LOW`: Low."));
}

/// Every `$ref` has its target.
#[test]
fn references_resolve() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(&target[1..]).is_some_and(Value::is_object), "{target}");
                }
                members.values().for_each(|value| walk(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, document)),
            _ => {}
        }
    }
    for pool in [pool(), DescriptorPool::decode(switchboard::wire::DESCRIPTORS).unwrap()] {
        let document = made(&pool);
        walk(&document, &document);
    }
}

/// No two bindings of one path differ in their parameter names, which OpenAPI forbids.
#[test]
fn paths_are_unique_by_shape() {
    let document = made(&DescriptorPool::decode(switchboard::wire::DESCRIPTORS).unwrap());
    let mut shapes: Vec<String> =
        document["paths"].as_object().unwrap().keys().map(|path| shape(path)).collect();
    let count = shapes.len();
    shapes.sort();
    shapes.dedup();
    assert_eq!(shapes.len(), count);
    assert!(routes(&pool()).unwrap().iter().any(|route| route.accepts == Accepts::Only(Method::PATCH)));
}

fn shape(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|c| {
            inside = (inside || *c == '{') && *c != '}';
            !inside
        })
        .collect()
}
