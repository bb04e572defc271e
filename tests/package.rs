//! The promises of the manifest.

use std::process::Command;

use serde_json::Value;

/// The tests' own dependencies enable `float_roundtrip`, so no other test would notice if it were missing.
#[test]
fn floats_survive_for_users_too() {
    let manifest = include_str!("../Cargo.toml");
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
    let line = dependencies.lines().find(|line| line.starts_with("serde_json = ")).unwrap();
    assert!(line.contains("float_roundtrip"), "{line}");
}

/// The version names the contract that it is for.
#[test]
fn the_version_names_the_contract() {
    let spec = include_str!("../spec/botpress.yaml");
    let contract = spec.lines().find_map(|line| line.strip_prefix("  version: ")).unwrap();
    assert_eq!(env!("CARGO_PKG_VERSION").split_once('+').unwrap().1, contract);
}

/// No dependency may ask for a later compiler than the `rust-version` of this crate.
#[test]
fn the_rust_version_holds_for_every_dependency() {
    let cargo = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let about = cargo(&["-vV"]);
    // Dependencies of other platforms may be missing here.
    let platform = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = ["metadata", "--format-version=1", "--locked", "--filter-platform"];
    let metadata: Value =
        serde_json::from_str(&cargo(&[&metadata[..], &[platform]].concat())).unwrap();
    let minor = |version: &str| -> u32 { version.split('.').nth(1).unwrap().parse().unwrap() };
    let ours = minor(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    for package in packages {
        let version = package["rust_version"].as_str().unwrap_or("1.0");
        assert!(
            minor(version) <= ours,
            "{} {} needs {version}",
            package["name"],
            package["version"]
        );
    }
}
