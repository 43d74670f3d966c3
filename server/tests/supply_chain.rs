//! What Larder is made of: licences of everything that is linked, and where `unsafe` may stand. Reads files and cargo's
//! own metadata; needs no network and no tool beside cargo. `deny.toml` has the rules, and cargo-deny checks more of
//! them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files with `unsafe` in them, of one module: ARCHITECTURE.md, "House rules".
const UNSAFE: [&str; 3] = [
    "server/src/keyspace/memory/allocator.rs",
    "server/src/keyspace/memory/area.rs",
    "server/src/keyspace/memory/prefetch.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

/// The licences that `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let rules: toml_edit::DocumentMut = text.parse().expect("TOML");
    let list = rules["licenses"]["allow"].as_array().expect("a list");
    list.iter().filter_map(|licence| licence.as_str().map(str::to_string)).collect()
}

/// Whether an SPDX expression leaves a choice of allowed licences. `/` is an old way to write OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut rest = &words[..];
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut found = all_of(rest, allowed);
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        found |= all_of(rest, allowed);
    }
    found
}

fn all_of(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut found = one(rest, allowed);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        found &= one(rest, allowed);
    }
    found
}

fn one(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let found = any_of(rest, allowed);
            *rest = rest.get(1..).unwrap_or_default();
            found
        }
        [licence, "WITH", exception, after @ ..] => {
            *rest = after;
            allowed.contains(&format!("{licence} WITH {exception}"))
        }
        [licence, after @ ..] => {
            *rest = after;
            allowed.contains(*licence)
        }
        [] => false,
    }
}

#[test]
fn expressions_are_read() {
    let allowed: BTreeSet<String> = ["MIT", "Apache-2.0", "A WITH e"].map(str::to_string).into();
    for yes in ["MIT", "GPL OR MIT", "MIT/Apache-2.0", "(GPL OR MIT) AND Apache-2.0", "A WITH e", "GPL AND X OR MIT"] {
        assert!(is_allowed(yes, &allowed), "{yes}");
    }
    for no in ["GPL", "MIT AND GPL", "(MIT OR GPL) AND GPL", "A", "MIT WITH e", "", "MIT GPL"] {
        assert!(!is_allowed(no, &allowed), "{no}");
    }
}

#[test]
fn every_dependency_has_an_allowed_licence_and_comes_from_the_registry() {
    let args =
        ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo).args(args).current_dir(root()).output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let allowed = allowed();
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 100);
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| {
            let licence = package["license"].as_str().unwrap_or_default();
            // Of this workspace, or of crates.io.
            let known = package["source"]
                .as_str()
                .is_none_or(|source| source.ends_with("/github.com/rust-lang/crates.io-index"));
            !known || !is_allowed(licence, &allowed)
        })
        .map(|package| {
            format!("{} {}: {} from {}", package["name"], package["version"], package["license"], package["source"])
        })
        .collect();
    assert!(wrong.is_empty(), "deny.toml does not allow\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_stands_in_one_module() {
    let mut found = Vec::new();
    for folder in ["protocol", "server", "client", "cluster-tests", "benches"] {
        search(&root().join(folder), &mut found);
    }
    found.sort();
    assert_eq!(found, UNSAFE);
}

/// Files below `folder` with `unsafe` outside of comments.
fn search(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            // Another's crate, and what builds and test runs leave behind.
            if !matches!(name.as_str(), "vendor" | "target" | "node_modules") && !name.starts_with('.') {
                search(&path, found);
            }
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            let keyword = concat!("un", "safe");
            let forms = ["{", "fn", "impl", "extern", "trait"].map(|after| format!("{keyword} {after}"));
            let lint = format!("{keyword}_code");
            if code.into_iter().any(|line| {
                forms.iter().any(|form| line.contains(form))
                    || ((line.contains("allow(") || line.contains("expect(")) && line.contains(&lint))
            }) {
                found.push(path.strip_prefix(root()).expect("below").to_string_lossy().into_owned());
            }
        }
    }
}
