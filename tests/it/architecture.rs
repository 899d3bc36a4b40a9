//! The shape of the tree, held by tests: floors, file length, scoped access, nothing unfinished. Each rule
//! stands beside tests that show it fail.
mod floors;
mod rules;
mod source;

use source::tree;

const EVERYTHING: &[&str] = &["src", "migrations", "tests", "examples", "benches", "build.rs"];

fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn imports_point_down() {
    none(&floors::violations(&tree(&["src"])));
}

#[test]
fn no_file_is_long_without_a_reason() {
    none(&rules::too_long(&tree(EVERYTHING)));
}

#[test]
fn rows_of_tenants_are_reached_through_the_scope() {
    none(&rules::unscoped(&tree(&["src"])));
}

#[test]
fn a_command_under_the_same_key_happens_once() {
    none(&rules::keyless(&tree(&["src"])));
}

#[test]
fn nothing_is_left_for_later() {
    none(&rules::unfinished(&tree(EVERYTHING)));
}

#[test]
fn the_tree_is_read() {
    assert!(tree(&["src"]).iter().any(|source| source.path == "src/store/scope.rs"));
}
