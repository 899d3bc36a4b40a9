//! A descriptor set with mistakes does not start, and says all of them at once.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use switchboard::edge::transcode::{Options, Transcoder};

/// A pool with one service whose methods have these `google.api.http` rules; requests have the fields `name`, `count`, `tags`,
/// `inner` (a message with `name`) and `map`.
fn pool(methods: &[Value]) -> DescriptorPool {
    let mut pool = super::pool();
    let methods: Vec<Value> = methods
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let streaming = rule["streaming"] == true;
            let mut rule = rule.clone();
            rule.as_object_mut().unwrap().remove("streaming");
            json!({
                "name": format!("M{index}"), "inputType": ".t.Request", "outputType": ".t.Request",
                "clientStreaming": streaming, "options": {"[google.api.http]": rule}
            })
        })
        .collect();
    let field = |name: &str, number: u32, kind: &str, label: &str| json!({"name": name, "number": number, "type": kind, "label": label, "jsonName": name});
    let entry = json!({
        "name": "MapEntry", "options": {"mapEntry": true},
        "field": [
            field("key", 1, "TYPE_STRING", "LABEL_OPTIONAL"),
            field("value", 2, "TYPE_STRING", "LABEL_OPTIONAL"),
        ],
    });
    let mut inner = field("inner", 4, "TYPE_MESSAGE", "LABEL_OPTIONAL");
    inner["typeName"] = ".t.Inner".into();
    let mut map = field("map", 5, "TYPE_MESSAGE", "LABEL_REPEATED");
    map["typeName"] = ".t.Request.MapEntry".into();
    let file = json!({
        "name": "t.proto", "package": "t", "syntax": "proto3", "dependency": ["google/api/annotations.proto"],
        "messageType": [
            {"name": "Request", "nestedType": [entry], "field": [
                field("name", 1, "TYPE_STRING", "LABEL_OPTIONAL"),
                field("count", 2, "TYPE_INT32", "LABEL_OPTIONAL"),
                field("tags", 3, "TYPE_STRING", "LABEL_REPEATED"),
                inner, map,
            ]},
            {"name": "Inner", "field": [field("name", 1, "TYPE_STRING", "LABEL_OPTIONAL")]},
        ],
        "service": [{"name": "S", "method": methods}],
    });
    let descriptor = pool.get_message_by_name("google.protobuf.FileDescriptorProto").unwrap();
    let file = DynamicMessage::deserialize(descriptor, file).unwrap();
    pool.decode_file_descriptor_proto(file.encode_to_vec().as_slice()).unwrap();
    pool
}

fn problems(methods: &[Value]) -> Vec<String> {
    let options = Options { reserved_paths: vec!["/openapi.json".into()], ..Options::default() };
    match Transcoder::new(&pool(methods), options) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn check_refused(rule: &Value, says: &str) {
    let found = problems(std::slice::from_ref(rule));
    assert!(found.iter().any(|problem| problem.contains(says)), "{rule}: {found:?}");
}

#[test]
fn sound_bindings_start() {
    let rules = [
        json!({"get": "/t/{name=a/*}", "additionalBindings": [{"get": "/t/{inner.name}/x"}]}),
        json!({"patch": "/t/{inner.name}", "body": "inner", "responseBody": "tags"}),
        json!({"custom": {"kind": "PURGE", "path": "/t/{count}"}}),
    ];
    assert_eq!(problems(&rules), Vec::<String>::new());
}

/// Table H.
#[test]
fn every_mistake_of_the_table_is_refused() {
    check_refused(&json!({"get": "/t/{nope}"}), "does not exist");
    check_refused(&json!({"get": "/t/{inner.nope}"}), "does not exist");
    check_refused(&json!({"get": "/t/{tags}"}), "repeated or map");
    check_refused(&json!({"get": "/t/{map}"}), "repeated or map");
    check_refused(&json!({"get": "/t/{inner}"}), "a message field");
    check_refused(&json!({"get": "/t/{name"}), "expected `}`");
    check_refused(&json!({"post": "/t", "body": "nope"}), "has no field `nope`");
    check_refused(&json!({"post": "/t", "body": "inner.name"}), "nested");
    check_refused(&json!({"post": "/t/{name}", "body": "name"}), "also a path variable");
    check_refused(&json!({"post": "/t", "body": "tags"}), "repeated");
    check_refused(&json!({"post": "/t", "responseBody": "nope"}), "response_body");
    check_refused(&json!({"get": "/t", "body": "*"}), "no body");
    check_refused(&json!({"delete": "/t", "body": "*"}), "no body");
    check_refused(&json!({"body": "*"}), "no method and path");
    check_refused(&json!({"get": "/t", "streaming": true}), "client-streaming");
    check_refused(&json!({"get": "/openapi.json"}), "reserved path");
    check_refused(&json!({"get": "/{name=*}/{count}"}), "/t.S/M0: a route answers this reserved path");
    let nested =
        json!({"get": "/t", "additionalBindings": [{"get": "/u", "additionalBindings": [{"get": "/v"}]}]});
    check_refused(&nested, "inside additional_bindings");
    check_refused(
        &json!({"get": "/t/{name=*}", "additionalBindings": [{"get": "/t/{count}"}]}),
        "answers the same requests",
    );
}

#[test]
fn all_mistakes_are_listed_at_once() {
    let found = problems(&[
        json!({"get": "/t/{nope}"}),
        json!({"post": "/t/{tags}", "body": "a.b"}),
        json!({"get": "t"}),
    ]);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[0].starts_with("t.S.M0: "), "{found:?}");
}

/// Pitfall 16: prost-reflect panics on editions, so the contract must stay proto3.
#[test]
fn every_file_of_the_contract_is_proto3() {
    let pool = DescriptorPool::decode(switchboard::wire::DESCRIPTORS).unwrap();
    for file in pool.files().filter(|file| file.package_name().starts_with("switchboard.")) {
        assert_eq!(file.syntax(), prost_reflect::Syntax::Proto3, "{}", file.name());
    }
}
