//! The public API is the one that was reviewed, and shows only types of reviewed crates.
//!
//!     cargo test -p conformance --test public_api -- --ignored
//!
//! It reads rustdoc's JSON, which a stable compiler writes if it is set to behave like a nightly one.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use public_api::Error;

/// A new major version of one of these requires a new major version of this crate.
const REVIEWED: [&str; 9] = [
    "alloc",
    "chrono",
    "core",
    "http",
    "progenitor_client",
    "reqwest",
    "serde_core",
    "serde_json",
    "std",
];

const SNAPSHOT: &str = "../../tests/snapshots/api.txt";

#[test]
#[ignore = "documents the library with all features, which takes minutes when nothing is built yet"]
fn public_api_is_as_reviewed() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let status = Command::new(env!("CARGO"))
        .args(["rustdoc", "--quiet", "--locked", "--package", "botpress-messages", "--lib"])
        .args(["--all-features", "--target-dir"])
        .arg(target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .env("RUSTDOC", concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/rustdoc"))
        .status()
        .unwrap();
    assert!(status.success());
    let json = target.join("doc/botpress_messages.json");
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build();
    let api = match api {
        Err(Error::SerdeJsonError(error)) => {
            println!("SKIPPED: this compiler writes another format of rustdoc's JSON ({error})");
            return;
        }
        api => api.unwrap().to_string(),
    };
    if env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(SNAPSHOT, &api).unwrap();
    }
    let reviewed = fs::read_to_string(SNAPSHOT).unwrap();
    let [old, new] = [&reviewed, &api].map(|api| api.lines().collect::<BTreeSet<_>>());
    let gone = old.difference(&new).map(|line| format!("- {line}"));
    let added = new.difference(&old).map(|line| format!("+ {line}"));
    let changes: Vec<_> = gone.chain(added).collect();
    assert!(
        changes.is_empty(),
        "the public API changed; UPDATE_SNAPSHOTS=1 accepts it:\n{}",
        changes.join("\n")
    );

    let mut shown = BTreeSet::new();
    for path in api.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        if let Some((first, _)) = path.split_once("::") {
            shown.insert(first);
        }
    }
    let foreign: Vec<_> = shown
        .into_iter()
        .filter(|name| name.starts_with(|c: char| c.is_lowercase()) && *name != "botpress_messages")
        .filter(|name| !REVIEWED.contains(name))
        .collect();
    assert!(
        foreign.is_empty(),
        "the API shows types of crates that were not reviewed: {foreign:?}"
    );
}
