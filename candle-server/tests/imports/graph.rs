//! Finds the imports between the files of one crate in their source text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The files of a crate, and the files that each of them imports from.
///
/// The keys are module paths such as `a::b`. The path of the crate's root is empty.
pub(crate) struct Graph {
    files: BTreeMap<String, String>,
    imports: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Reads the source files in a directory and its subdirectories, without tests.
    pub(crate) fn read(directory: &Path) -> Self {
        let mut files = Vec::new();
        collect(directory, directory, &mut files);
        assert!(!files.is_empty(), "{} has no files", directory.display());
        Self::of(files)
    }

    /// Creates the graph of files with these paths and texts.
    pub(crate) fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let texts: BTreeMap<String, (String, String)> =
            files.into_iter().map(|(path, text)| (module_of(&path), (path, production(&text)))).collect();
        let mut imports = BTreeMap::new();
        for (module, (_, text)) in &texts {
            let paths = paths(text).into_iter().chain(child_paths(text));
            let targets = paths.filter_map(|path| resolve(module, &path, &texts));
            // The root only declares and re-exports modules, and a file may import from itself.
            let targets = targets.filter(|target| target != module && !module.is_empty());
            imports.insert(module.clone(), targets.collect());
        }
        Self { files: texts.into_iter().map(|(module, (path, _))| (module, path)).collect(), imports }
    }

    /// Returns the names of the top-level modules.
    pub(crate) fn modules(&self) -> impl Iterator<Item = &str> {
        let top = |module: &&String| !module.is_empty() && !module.contains("::");
        self.files.keys().filter(top).map(String::as_str)
    }

    /// Returns all pairs of top-level modules in which the first module imports from the second.
    pub(crate) fn module_imports(&self) -> impl Iterator<Item = (String, String)> {
        let top = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
        let pairs =
            self.imports.iter().flat_map(move |(from, targets)| targets.iter().map(move |to| (top(from), top(to))));
        let pairs: BTreeSet<_> = pairs.filter(|(from, to)| from != to).collect();
        pairs.into_iter()
    }

    /// Returns the files of an import cycle, if there is one. The first file is repeated at the end.
    pub(crate) fn cycle(&self) -> Option<Vec<String>> {
        let mut done = BTreeSet::new();
        self.imports.keys().find_map(|module| self.cycle_from(module, &mut Vec::new(), &mut done))
    }

    fn cycle_from(&self, module: &str, path: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|on_path| on_path == module) {
            let mut files: Vec<_> = path[start..].iter().map(|module| self.files[module].clone()).collect();
            files.push(self.files[module].clone());
            return Some(files);
        }
        if done.contains(module) {
            return None;
        }
        path.push(module.to_owned());
        let found = self.imports[module].iter().find_map(|target| self.cycle_from(target, path, done));
        path.pop();
        done.insert(module.to_owned());
        found
    }
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_test = ["tests", "tests.rs", "simulation", "simulation.rs"].iter().any(|name| path.ends_with(name));
        if is_test {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn module_of(path: &str) -> String {
    let module = path.trim_end_matches(".rs").replace('/', "::");
    if module == "lib" || module == "main" { String::new() } else { module }
}

/// Removes the comments and the tests from a source text.
fn production(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    text[..end].lines().map(code).collect::<Vec<_>>().join("\n")
}

/// Returns every path in the text that begins with `crate`, `super` or `self`. A group in braces gives one path per
/// item.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back();
            // `pub(in crate::x)` is not an import. `super::super::` is found at its first `super`.
            let is_part = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
            if !is_part && !text[..at].ends_with("pub(in ") {
                take_apart(&text[at..], &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

/// Returns the paths of `use` declarations whose first module is declared in the text.
fn child_paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((_, child)) = line.trim().strip_suffix(';').and_then(|line| line.split_once("mod ")) else { continue };
        for (at, _) in text.match_indices(&format!("use {child}::")) {
            take_apart(&text[at + "use ".len()..], &mut vec!["self".to_owned()], &mut found);
        }
    }
    found
}

/// Adds the paths at the start of `text` to `found`, and returns the text after them. A group in braces gives one path
/// per item.
fn take_apart<'t>(text: &'t str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    let length = prefix.len();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut group) = rest.strip_prefix('{') {
            while !group.trim_start().starts_with('}') && !group.trim_start().is_empty() {
                group = take_apart(group, prefix, found).trim_start();
                group = group.strip_prefix(',').unwrap_or(group);
            }
            rest = group.trim_start().strip_prefix('}').unwrap_or_default();
            break;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            // A glob imports from the path before it.
            rest = rest.strip_prefix('*').unwrap_or(rest.get(1..).unwrap_or_default());
            found.push(prefix.clone());
            break;
        }
        prefix.push(rest[..end].to_owned());
        rest = &rest[end..];
        if let Some(deeper) = rest.strip_prefix("::") {
            rest = deeper;
            continue;
        }
        found.push(prefix.clone());
        // Skip the new name in `a as b`.
        if let Some(renamed) = rest.strip_prefix(" as ") {
            rest = renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        }
        break;
    }
    prefix.truncate(length);
    rest
}

/// Returns the module of the file that a path in `module` refers to.
fn resolve(module: &str, path: &[String], files: &BTreeMap<String, (String, String)>) -> Option<String> {
    let mut target: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    for part in path {
        match part.as_str() {
            "crate" => target.clear(),
            "super" => _ = target.pop(),
            "self" => {}
            name => target.push(name),
        }
    }
    loop {
        let name = target.join("::");
        if files.contains_key(&name) {
            // The root may re-export any item. An import from the root would hide the file that defines the item.
            return Some(name).filter(|name| !name.is_empty() || path[0] == "crate");
        }
        target.pop()?;
    }
}
