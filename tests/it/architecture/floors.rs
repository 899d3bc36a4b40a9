//! Who may use whom: imports point down.
use std::collections::BTreeSet;

use super::source::Source;

/// The floors from the top; neighbours on one line may not use each other.
const FLOORS: &[&[&str]] = &[
    &["main", "lib"],
    &["app"],
    &["edge", "sandbox", "telemetry"],
    &["service"],
    &["access"],
    &["wire"],
    &["jobs"],
    &["events", "channels", "ai"],
    &["store"],
    &["auth"],
    &["error"],
    &["domain"],
    &["env"], // makes ids
    &["id", "config", "fault"],
];

fn height(floor: &str) -> Option<usize> {
    FLOORS.iter().rev().position(|line| line.contains(&floor))
}

/// A sentence for each file on no floor and each import that points up or sideways.
pub fn violations(tree: &[Source]) -> Vec<String> {
    let paths: BTreeSet<_> = tree.iter().map(|source| source.path.as_str()).collect();
    let mut found = Vec::new();
    for source in tree {
        let mut named = BTreeSet::new();
        let module = module(&source.path);
        let own = module[0];
        let Some(here) = height(own) else {
            found.push(format!("{} is on no floor", source.path));
            continue;
        };
        for (at, path) in imports(source, module.len()) {
            let Some(there) = path.first().and_then(|floor| height(floor)) else { continue };
            if path[0] == own || there < here || !named.insert(path[0].clone()) {
                continue; // fine, or said once for this file
            }
            let way = if there == here { "sideways" } else { "up" };
            let (line, used) = (source.line(at), file(&paths, &path));
            found.push(format!(
                "{}:{line} imports {way}: {own} may not use {} ({used})",
                source.path, path[0]
            ));
        }
    }
    found
}

/// `src/store/scope.rs` → `[store, scope]`.
fn module(path: &str) -> Vec<&str> {
    path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect()
}

/// The file in which the longest known part of the path stands.
fn file(paths: &BTreeSet<&str>, path: &[String]) -> String {
    (1..=path.len())
        .rev()
        .map(|length| format!("src/{}.rs", path[..length].join("/")))
        .find(|file| paths.contains(file.as_str()))
        .unwrap_or_else(|| format!("src/{}.rs", path[0]))
}

/// Every path that starts at the crate's root, with where it stands: `crate::a::b`, each branch of
/// `crate::{a, b::c}`, and `super::super::a` when it climbs that far.
fn imports(source: &Source, depth: usize) -> Vec<(usize, Vec<String>)> {
    let code = &source.code;
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_none_or(|c| !c.is_alphanumeric() && c != '_') {
            branches(code, at + "crate::".len(), &[], &mut found);
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") {
            continue; // the middle of a climb that was seen
        }
        let climb = code[at..].split("::").take_while(|part| part.trim() == "super").count();
        if climb == depth + nesting(&code[..at]) {
            branches(code, at + climb * "super::".len(), &[], &mut found);
        }
    }
    found
}

/// Follows the path that begins at `at` into every branch of its braces.
fn branches(code: &str, at: usize, so_far: &[String], found: &mut Vec<(usize, Vec<String>)>) {
    let skipped = code[at..].len() - code[at..].trim_start().len();
    let at = at + skipped;
    let rest = &code[at..];
    if rest.starts_with('{') {
        let mut depth = 0;
        let mut open = true;
        for (length, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => open = true,
                c if depth == 1 && open && !c.is_whitespace() => {
                    open = false;
                    branches(code, at + length, so_far, found);
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        return;
    }
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if word.is_empty() {
        found.push((at, so_far.to_vec()));
        return;
    }
    let path = [so_far, std::slice::from_ref(&word)].concat();
    if rest[word.len()..].starts_with("::") {
        branches(code, at + word.len() + 2, &path, found);
    } else {
        found.push((at, path));
    }
}

/// How many inline modules are open at the end of `code`.
fn nesting(code: &str) -> usize {
    let mut open = Vec::new();
    let mut start = 0;
    for (at, c) in code.char_indices().filter(|(_, c)| "{};".contains(*c)) {
        match c {
            '{' => open.push(code[start..at].split_whitespace().rev().nth(1) == Some("mod")),
            '}' => drop(open.pop()),
            _ => {}
        }
        start = at + 1;
    }
    open.into_iter().filter(|module| *module).count()
}

fn check(path: &str, text: &str) -> Vec<String> {
    let known = Source::new("src/store/scope.rs", "");
    violations(&[known, Source::new(path, text)])
}

#[test]
fn an_import_that_points_up_is_seen_with_both_files() {
    let found = check("src/domain/slots.rs", "use std::fmt;\nuse crate::store::scope::TenantDb;");
    assert_eq!(
        found,
        ["src/domain/slots.rs:2 imports up: domain may not use store (src/store/scope.rs)"],
        "the sentence names both files"
    );
}

#[test]
fn every_way_to_write_an_upward_import_is_seen() {
    for text in [
        "use crate::{id::X, store};",
        "use crate::{\n    id::{X, Y},\n    store::{A, B},\n};",
        "fn f() { crate::store::open(); }",
        "pub(in crate::store) fn f() {}",
        "use super::super::store::Store;",
        "mod tests { use super::super::super::store::Store; }",
    ] {
        assert_eq!(check("src/domain/slots.rs", text).len(), 1, "{text}");
    }
    assert_eq!(check("src/domain.rs", "use super::store::Store;").len(), 1);
}

#[test]
fn neighbours_may_not_use_each_other() {
    let found = check("src/events.rs", "use crate::channels::Channel;");
    assert_eq!(found, ["src/events.rs:1 imports sideways: events may not use channels (src/channels.rs)"]);
}

#[test]
fn downward_own_and_quoted_imports_pass() {
    for text in [
        "use crate::{domain::event::Event, id::TenantId, store::scope::TenantDb};",
        "// crate::app\n/* crate::app */ const A: &str = \"crate::app\"; const B: &str = r#\"crate::app\"#;",
        "use super::super::domain::event; mod tests { use super::super::app; }",
    ] {
        assert_eq!(check("src/store/tenants.rs", text), [""; 0], "{text}");
    }
}

#[test]
fn a_file_on_no_floor_is_seen() {
    assert_eq!(check("src/utils.rs", ""), ["src/utils.rs is on no floor"]);
}
