use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::json;

use super::*;

static TRIAL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/trial.bin"));
static BROKEN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/broken.bin"));

fn thing(json: serde_json::Value) -> Vec<(String, String)> {
    let pool = DescriptorPool::decode(TRIAL).unwrap();
    let rules = Rules::read(&Policies::read(&pool).unwrap()).unwrap();
    let descriptor = pool.get_message_by_name("switchboard.trial.v1.Thing").unwrap();
    assert!(rules.concern(&descriptor));
    let message = DynamicMessage::deserialize(descriptor, json).unwrap();
    match rules.check(&message) {
        Ok(()) => Vec::new(),
        Err(Error::Invalid(found)) => found.into_iter().map(|v| (v.field, v.problem)).collect(),
        Err(other) => panic!("{other}"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the cases are written out with json!")]
fn check(json: serde_json::Value, field: &str, problem: &str) {
    assert_eq!(thing(json.clone()), [(field.to_owned(), problem.to_owned())], "{json}");
}

#[test]
fn what_keeps_the_rules_passes() {
    for fine in [
        json!({"name": "a"}),
        json!({"name": "жжжж", "code": "ab", "email": "a.b+c@example.com", "link": "https://x.example/?a=b"}),
        json!({"name": "a", "size": "m", "data": "AAAA", "count": 10, "big": "9007199254740992", "share": 1.0}),
        json!({"name": "a", "tags": ["x", "y"], "labels": {"k": "v"}, "colour": "COLOUR_RED"}),
        json!({"name": "a", "part": {"id": "1"}, "named": {"k": {"id": "1"}}, "thing": {"name": "b"}}),
        json!({"name": "a", "free": {"any": [1, null, {"x": true}]}}),
    ] {
        assert_eq!(thing(fine.clone()), [], "{fine}");
    }
}

#[test]
fn each_rule_says_what_is_wrong_and_where() {
    check(json!({}), "name", "must have at least 1 character");
    check(json!({"name": "жжжжж"}), "name", "must have at most 4 characters");
    check(json!({"name": "a", "code": "abc"}), "code", "must match ^([a-z]{2})?$");
    for wrong in ["", "a", "a@", "@b", "a b@c.d", "a@-b.c", "a@b..c"] {
        check(json!({"name": "a", "email": wrong}), "email", "must be an e-mail address");
    }
    check(json!({"name": "a", "link": "/relative"}), "link", "must be a URI");
    check(json!({"name": "a", "size": "xl"}), "size", "must be one of s, m");
    check(json!({"name": "a", "data": "AAAAAA=="}), "data", "must have at most 3 bytes");
    check(json!({"name": "a", "count": -1}), "count", "must be at least 0");
    check(json!({"name": "a", "count": 11}), "count", "must be at most 10");
    check(json!({"name": "a", "big": "0"}), "big", "must be more than 0");
    check(json!({"name": "a", "big": "9007199254740993"}), "big", "must be less than 9007199254740993");
    check(json!({"name": "a", "share": 1.5}), "share", "must be at most 1");
    assert_eq!(thing(json!({"name": "a", "share": "NaN"})).len(), 2);
    check(json!({"name": "a", "tags": ["x", "y", "z"]}), "tags", "must have at most 2 items");
    check(json!({"name": "a", "tags": ["x", ""]}), "tags[1]", "must have at least 1 character");
    check(json!({"name": "a", "labels": {"a": "", "b": ""}}), "labels", "must have at most 1 item");
    check(json!({"name": "a", "colour": 7}), "colour", "knows no value 7");
    check(json!({"name": "a", "colours": [1, -2]}), "colours[1]", "knows no value -2");
    check(json!({"name": "a", "part": {}}), "part.id", "is required");
    check(json!({"name": "a", "parts": [{"id": "1"}, {}]}), "parts[1].id", "is required");
    check(json!({"name": "a", "named": {"k": {}}}), "named[\"k\"].id", "is required");
    check(json!({"name": "a", "thing": {"name": "b", "part": {}}}), "thing.part.id", "is required");
}

/// Also where a field has no rules, and in messages that are not ours.
#[test]
fn no_text_holds_nul() {
    let problem = "must not contain the character NUL";
    check(json!({"name": "a\0"}), "name", problem);
    check(json!({"name": "a", "tags": ["x", "\0"]}), "tags[1]", problem);
    check(json!({"name": "a", "labels": {"k": "v\0"}}), "labels[\"k\"]", problem);
    check(json!({"name": "a", "parts": [{"id": "1"}, {"id": "\0"}]}), "parts[1].id", problem);
    check(json!({"name": "a", "thing": {"name": "b", "part": {"id": "\0"}}}), "thing.part.id", problem);
    let free = thing(json!({"name": "a", "free": {"any": [{"x": "\0"}], "\0": 1}}));
    assert_eq!(free.len(), 2, "{free:?}");
    assert!(free.iter().all(|(field, words)| field.starts_with("free.") && words == problem), "{free:?}");
    let many = thing(json!({"name": "a", "free": {"any": vec!["\0"; 1000]}}));
    assert_eq!(many.len(), MOST);
}

#[test]
fn all_violations_come_at_once_but_not_without_end() {
    let found = thing(json!({"code": "x", "count": 11, "parts": [{}]}));
    let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["name", "code", "count", "parts[0].id"]);
    let many = thing(json!({"name": "a", "parts": vec![json!({}); 10_000]}));
    assert_eq!(many.len(), MOST);
}

#[test]
fn what_is_not_supported_is_named() {
    let pool = DescriptorPool::decode(BROKEN).unwrap();
    let problems = Policies::read(&pool).unwrap_err();
    assert_eq!(
        problems,
        [
            "switchboard.broken.v1.BrokenService.NoPolicy: has no policy",
            "switchboard.broken.v1.BrokenService.NoAudience: has no audience",
            "switchboard.broken.v1.BrokenService.NoRate: has no rate class",
            "switchboard.broken.v1.BrokenService.NoPermission: a member's method needs a permission",
            "switchboard.broken.v1.BrokenService.KeyForAll: only a member's method can admit API keys",
            "switchboard.broken.v1.BrokenService.PlanForAll: subscription and active_tenant need a caller with a tenant",
        ]
    );
    let odd = pool.get_service_by_name("switchboard.broken.v1.OddService").unwrap();
    let (_, mut problems) = compile::all(odd.methods().map(|method| method.input()));
    problems.sort();
    let starts = [
        "switchboard.broken.v1.Inner.agreed: the rule bool.* is not supported",
        "switchboard.broken.v1.OddRequest.cel: the rule cel is not supported here",
        "switchboard.broken.v1.OddRequest.either: the rule oneof.* is not supported",
        "switchboard.broken.v1.OddRequest.number: the rule int32.const is not supported",
        "switchboard.broken.v1.OddRequest.pattern: has a broken pattern",
        "switchboard.broken.v1.OddRequest.prefix: the rule string.prefix is not supported",
        "switchboard.broken.v1.OddRequest.unique: the rule repeated.unique is not supported",
        "switchboard.broken.v1.OddRequest.wrong_kind: has rules for int32, and is string",
    ];
    assert_eq!(problems.len(), starts.len(), "{problems:#?}");
    for (problem, start) in problems.iter().zip(starts) {
        assert!(problem.starts_with(start), "{problem}");
    }
}

#[test]
fn the_contract_can_be_enforced() {
    let pool = DescriptorPool::decode(crate::wire::DESCRIPTORS).unwrap();
    let policies = Policies::read(&pool).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert!(policies.iter().count() > 0);
    Rules::read(&policies).unwrap_or_else(|problems| panic!("{problems:#?}"));
}
