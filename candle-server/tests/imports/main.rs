//! Checks the rules of ARCHITECTURE.md about imports.
//!
//! No module imports from a module above it, and no two files import each other.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod graph;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use graph::Graph;

/// The crates of the table in ARCHITECTURE.md, with the directories of their sources.
const CRATES: [(&str, &str); 7] = [
    ("candle-core", "candle-core/src"),
    ("candle-engine", "candle-server/engine/src"),
    ("candle-feed", "candle-server/feed/src"),
    ("candle-http", "candle-server/http/src"),
    ("candle-store", "candle-server/store/src"),
    ("candle-cluster", "candle-server/cluster/src"),
    ("candle-server", "candle-server/src"),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns the modules of each crate from bottom to top, as the table in ARCHITECTURE.md lists them.
fn table() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let (name, modules) = line.trim_matches('|').split_once('|')?;
        let name = name.trim();
        let is_row = CRATES.iter().any(|(known, _)| *known == name) && !modules.contains('|');
        let modules = modules.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        is_row.then(|| (name.to_owned(), modules))
    });
    rows.collect()
}

#[test]
fn every_module_is_in_the_table_of_the_architecture() {
    let table = table();
    for (name, directory) in CRATES {
        let listed = table.get(name).unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {name}"));
        let mut listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        let graph = Graph::read(&repository().join(directory));
        let mut found: Vec<&str> = graph.modules().collect();
        listed.sort_unstable();
        found.sort_unstable();
        assert_eq!(listed, found, "the row of {name} in ARCHITECTURE.md does not list its modules");
    }
}

#[test]
fn no_module_imports_from_a_module_above_it() {
    let table = table();
    for (name, directory) in CRATES {
        let order = &table[name];
        let rank = |module: &str| {
            let rank = order.iter().position(|listed| listed == module);
            rank.unwrap_or_else(|| panic!("{name}: an import from the crate's root hides its file: name the module"))
        };
        for (from, to) in Graph::read(&repository().join(directory)).module_imports() {
            assert!(
                rank(&to) < rank(&from),
                "{name}: `{from}` imports from `{to}`, which ARCHITECTURE.md lists above it: move the imported item down"
            );
        }
    }
}

#[test]
fn each_crate_depends_only_on_the_crates_that_the_architecture_names() {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let short = |name: &str| name.trim().trim_start_matches("candle-").to_owned();
    let everyone: Vec<String> = CRATES.iter().map(|(name, _)| short(name)).collect();
    for (name, directory) in CRATES {
        let row = text.lines().find(|line| line.starts_with(&format!("| {name} |")) && line.matches('|').count() == 5);
        let imports = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no crate {name}")).split('|').nth(4).unwrap();
        let allowed: Vec<String> = match imports.trim() {
            "all" => everyone.clone(),
            "none of ours" => Vec::new(),
            list => list.split(',').map(short).collect(),
        };
        let manifest = repository().join(directory.trim_end_matches("src")).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        let ours = dependencies.lines().filter(|line| line.starts_with("candle-"));
        for dependency in ours.map(|line| short(line.split(['.', ' ', '=']).next().unwrap())) {
            assert!(allowed.contains(&dependency), "{name} must not depend on candle-{dependency} (ARCHITECTURE.md)");
        }
    }
}

#[test]
fn no_two_files_of_a_crate_import_each_other() {
    for (name, directory) in CRATES {
        if let Some(cycle) = Graph::read(&repository().join(directory)).cycle() {
            panic!("{name}: these files import each other in a circle: {}", cycle.join(" -> "));
        }
    }
}

#[test]
fn an_import_cycle_is_found() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\npub use a::A;"),
        ("a.rs", "use crate::b::c::C;\npub struct A(C);"),
        ("b.rs", "pub mod c;"),
        (
            "b/c.rs",
            "use super::super::a::A;\n// use crate::nothing;\npub struct C(A);\n#[cfg(test)]\nmod tests {\n    use crate::b;\n}",
        ),
    ];
    let graph = Graph::of(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
    assert_eq!(graph.cycle().map(|cycle| cycle.len()), Some(3), "a.rs -> b/c.rs -> a.rs");
    let imports: Vec<_> = graph.module_imports().collect();
    assert_eq!(imports, [("a".to_owned(), "b".to_owned()), ("b".to_owned(), "a".to_owned())]);
}

#[test]
fn a_cycle_between_a_module_and_its_child_is_found() {
    let files = [
        ("lib.rs", "mod a;"),
        ("a.rs", "mod b;\npub use b::B;\npub struct A;"),
        ("a/b.rs", "use super::A;\npub struct B(A);"),
    ];
    let graph = Graph::of(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
    assert_eq!(graph.cycle().map(|cycle| cycle.len()), Some(3), "a.rs -> a/b.rs -> a.rs");
}

#[test]
fn an_import_in_a_path_or_a_group_is_found() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\nmod c;"),
        ("a.rs", "fn f() { crate::c::g(); }"),
        ("b.rs", "use crate::{\n    a::f,\n    c::{self, g},\n};"),
        ("c.rs", "pub fn g() {}"),
    ];
    let graph = Graph::of(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
    let pairs = [("a", "c"), ("b", "a"), ("b", "c")].map(|(from, to)| (from.to_owned(), to.to_owned()));
    assert_eq!(graph.module_imports().collect::<Vec<_>>(), pairs);
}
