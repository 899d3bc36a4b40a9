//! What no file may hold.
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
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimple", "mented!"), concat!("to", "do!")];
    each_line(tree, |line| marks.iter().any(|mark| line.contains(mark)), "is unfinished")
}

/// Ways to reach rows without the tenant's filter, outside the one file that adds the filter. A file
/// that must read across tenants says so: `//! Unscoped because: …`.
pub fn unscoped(tree: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in tree {
        if source.path == "src/store/scope.rs" || source.excused("Unscoped") {
            continue;
        }
        let code = source.untested_code();
        for form in FORMS {
            for (at, _) in code.match_indices(form) {
                found.push(format!("{}:{} uses the unscoped `{form}`", source.path, source.line(at)));
            }
        }
        for (at, _) in code.match_indices(".update(").chain(code.match_indices(".delete(")) {
            // `ActiveModel::update` and `delete` filter by primary key alone.
            let line = code[at..].lines().next().unwrap_or_default();
            if line.contains("conn") {
                found.push(format!("{}:{} writes a row by its key alone", source.path, source.line(at)));
            }
        }
        let tested = code.lines().count();
        for (line, text) in source.strings.iter().filter(|(line, _)| *line <= tested) {
            let text = text.trim_start().to_ascii_lowercase();
            if SQL.iter().any(|verb| text.starts_with(verb)) && !text.contains("tenant_id") {
                found.push(format!("{}:{line} holds SQL without tenant_id", source.path));
            }
        }
    }
    found
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
        bad.map(|(at, line)| format!("{}:{} {what}: {}", source.path, at + 1, line.trim())).collect::<Vec<_>>()
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
    assert!(too_long(&one("src/a.rs", &format!("//! Long because: one table of 300 rows.\n{body}"))).is_empty());
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
fn every_unscoped_form_is_seen() {
    for form in FORMS {
        let text = format!("fn f() {{ x{form} }}");
        assert_eq!(unscoped(&one("src/store/a.rs", &text)).len(), 1, "{text}");
        assert!(unscoped(&one("src/store/scope.rs", &text)).is_empty());
        let excused = format!("//! Sessions.\n//! Unscoped because: a session is found before its tenant is known.\n{text}");
        assert!(unscoped(&one("src/store/a.rs", &excused)).is_empty());
    }
    for text in [
        "row.update(self.0.conn()).await",
        "row.delete(db.conn()).await",
        "sql(\"select * from message where id = $1\")",
        "sql(r\"\n  UPDATE message set a = 1\")",
    ] {
        assert_eq!(unscoped(&one("src/store/a.rs", text)).len(), 1, "{text}");
    }
    for text in [
        "self.0.find::<Entity>().filter(x)",
        "self.0.update::<Entity>().exec(self.0.conn())",
        "sql(\"select * from message where tenant_id = $1\")",
        "// ::find()\nfn f() {}\n#[cfg(test)]\nmod tests { fn f() { Entity::find() } }",
    ] {
        assert_eq!(unscoped(&one("src/store/a.rs", text)), [""; 0], "{text}");
    }
}
