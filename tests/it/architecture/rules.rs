//! What no file may hold.
use std::ops::Range;

use super::source::Source;

const LONGEST: usize = 400;

/// Files beyond the length at which a reader asks why, without an answer.
pub fn too_long(tree: &[Source]) -> Vec<String> {
    tree.iter()
        .filter(|source| source.text.lines().count() > LONGEST && !source.excused("Long"))
        .map(|source| {
            let lines = source.text.lines().count();
            format!("{}: {lines} lines; split it, or say why: `//! Long because: …`", source.path)
        })
        .collect()
}

/// Promises to finish later, in code and in comments.
pub fn unfinished(tree: &[Source]) -> Vec<String> {
    // Put together here, so that this file does not accuse itself.
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimple", "mented!"), concat!("to", "do!")];
    each_line(tree, |line| marks.iter().any(|mark| line.contains(mark)), "is unfinished")
}

/// Ways to reach rows without the tenant's filter, outside the one file that adds the filter and outside
/// `SystemDb`, whose holders work across tenants. Another file that must says so: `//! Unscoped because: …`.
pub fn unscoped(tree: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in tree {
        if source.path == "src/store/scope.rs" || source.excused("Unscoped") {
            continue;
        }
        let code = source.untested_code();
        let system = system_blocks(code);
        let mut tell = |at: usize, what: String| {
            if !system.iter().any(|block| block.contains(&at)) {
                found.push(format!("{}:{} {what}", source.path, source.line(at)));
            }
        };
        for form in FORMS {
            for (at, _) in code.match_indices(form) {
                tell(at, format!("uses the unscoped `{form}`"));
            }
        }
        for (at, _) in code.match_indices(".update(").chain(code.match_indices(".delete(")) {
            // `ActiveModel::update` and `delete` filter by primary key alone.
            if code[at..].lines().next().is_some_and(|line| line.contains("conn")) {
                tell(at, "writes a row by its key alone".to_owned());
            }
        }
        if code.contains("SystemDb") && !code.contains("TenantDb") {
            continue; // the SQL of a file that works across tenants altogether
        }
        for (at, text) in source.strings.iter().filter(|(at, _)| *at < code.len()) {
            let text = text.trim_start().to_ascii_lowercase();
            // An update without its condition is a fragment: the condition is another literal.
            let fragment = text.starts_with("update ") && !text.contains("where ");
            let statement = SQL.iter().any(|verb| text.starts_with(verb)) && !fragment;
            if statement && !text.contains("tenant_id") {
                tell(*at, "holds SQL without tenant_id".to_owned());
            }
        }
    }
    found
}

/// Handlers that write and keep no answer for a repeat, and why they need none.
const KEYLESS: &[(&str, &str)] = &[
    ("src/service/tenant/auth.rs", "whoever signs up, in or out works on no tenant's rows"),
    ("src/service/conversation/ingress.rs", "a webhook is known again by its own id"),
    ("src/service/conversation/channel.rs", "a test of a channel asks anew each time"),
    ("src/service/admin/owner.rs", "runs at start, for nobody"),
];

/// Writes of handlers that a repeat under the same idempotency key would do again.
pub fn keyless(tree: &[Source]) -> Vec<String> {
    let handlers = tree.iter().filter(|source| source.path.starts_with("src/service/"));
    let handlers = handlers.filter(|source| !KEYLESS.iter().any(|(path, _)| *path == source.path));
    let handlers: Vec<Source> =
        handlers.map(|source| Source::new(&source.path, source.untested_code())).collect();
    each_line(
        &handlers,
        |line| line.contains(".transaction("),
        "writes without `command`: a repeat does it again",
    )
}

/// The `impl` blocks of `SystemDb` and of the repositories that are made of one.
fn system_blocks(code: &str) -> Vec<Range<usize>> {
    let made_of_one = code.lines().filter_map(|line| {
        let (_, rest) = line.split_once("struct ")?;
        let (name, fields) = rest.split_once(['<', '('])?;
        fields.contains("SystemDb").then_some(name)
    });
    let names: Vec<_> = made_of_one.chain(["SystemDb"]).collect();
    let mut blocks = Vec::new();
    for (at, _) in code.match_indices("impl").filter(|(at, _)| *at == 0 || code.as_bytes()[at - 1] == b'\n') {
        let Some(open) = code[at..].find('{').map(|length| at + length) else { continue };
        if names.iter().any(|name| code[at..open].contains(name)) {
            let mut depth = 0;
            let close = code[open..].find(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth == 0
            });
            blocks.push(at..open + close.unwrap_or(0));
        }
    }
    blocks
}

const FORMS: &[&str] = &[
    "::find()",
    "::find_by_id(",
    "::load()",
    "::update_many()",
    "::delete_many()",
    "::delete_by_id(",
    "Entity::update(",
    "Entity::delete(",
    ".find_related(",
    ".load_one(",
    ".load_many(",
    ".save(",
];
const SQL: &[&str] = &["select ", "update ", "delete from ", "insert into "];

fn each_line(tree: &[Source], bad: impl Fn(&str) -> bool, what: &str) -> Vec<String> {
    let lines = |source: &Source| {
        let bad = source.text.lines().enumerate().filter(|(_, line)| bad(line));
        bad.map(|(at, line)| format!("{}:{} {what}: {}", source.path, at + 1, line.trim()))
            .collect::<Vec<_>>()
    };
    tree.iter().flat_map(lines).collect()
}

fn one(path: &str, text: &str) -> [Source; 1] {
    [Source::new(path, text)]
}

#[test]
fn a_long_file_needs_a_reason() {
    let body = "fn f() {}\n".repeat(401);
    assert_eq!(too_long(&one("src/a.rs", &body)).len(), 1);
    assert_eq!(too_long(&one("src/a.rs", &format!("//! Long because: \n{body}"))).len(), 1);
    assert!(
        too_long(&one("src/a.rs", &format!("//! Long because: one table of 300 rows.\n{body}"))).is_empty()
    );
    assert!(too_long(&one("src/a.rs", &"fn f() {}\n".repeat(400))).is_empty());
}

#[test]
fn a_promise_to_finish_later_is_seen() {
    for mark in ["// TO", "/* FIX", "unimple", "fn f() { to"].iter().zip(["DO", "ME", "mented!", "do!() }"]) {
        let text = format!("{}{}\n", mark.0, mark.1);
        assert_eq!(unfinished(&one("src/a.rs", &text)).len(), 1, "{text}");
    }
    assert!(unfinished(&one("src/a.rs", "// done\n")).is_empty());
}

#[test]
fn a_handler_that_writes_without_a_key_is_seen() {
    let text = "fn f() { db.transaction(async |db| Ok(())) }";
    assert_eq!(keyless(&one("src/service/tenant/x.rs", text)).len(), 1);
    assert!(keyless(&one("src/jobs/x.rs", text)).is_empty());
    assert!(keyless(&one("src/service/admin/owner.rs", text)).is_empty());
}

#[test]
fn every_unscoped_form_is_seen() {
    for form in FORMS {
        let text = format!("fn f() {{ x{form} }}");
        assert_eq!(unscoped(&one("src/store/a.rs", &text)).len(), 1, "{text}");
        assert!(unscoped(&one("src/store/scope.rs", &text)).is_empty());
        let excused = format!(
            "//! Sessions.\n//! Unscoped because: a session is found before its tenant is known.\n{text}"
        );
        assert!(unscoped(&one("src/store/a.rs", &excused)).is_empty());
    }
    for text in [
        "impl SystemDb {\n    fn f() {}\n}\nimpl TenantDb {\n    fn f() { Entity::find() }\n}",
        "row.update(self.0.conn()).await",
        "row.delete(db.conn()).await",
        "sql(\"select * from message where id = $1\")",
        "sql(r\"\n  UPDATE message set a = 1 where id = $1\")",
    ] {
        assert_eq!(unscoped(&one("src/store/a.rs", text)).len(), 1, "{text}");
    }
    for text in [
        "self.0.find::<Entity>().filter(x)",
        "self.0.update::<Entity>().exec(self.0.conn())",
        "sql(\"select * from message where tenant_id = $1\")",
        "impl SystemDb {\n    fn f() { Entity::find(); sql(\"select * from message\"); }\n}\n",
        "use crate::store::SystemDb;\nconst TAKE: &str = \"update lease set term = 2\";",
        "pub struct Leases<'a, C>(&'a SystemDb<C>);\nimpl<C> Leases<'_, C> {\n    fn f() { Entity::find() }\n}",
        "// ::find()\nfn f() {}\n#[cfg(test)]\nmod tests { fn f() { Entity::find() } }",
    ] {
        assert_eq!(unscoped(&one("src/store/a.rs", text)), [""; 0], "{text}");
    }
}
