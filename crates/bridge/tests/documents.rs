//! The README and the files to deploy name the settings that there are.

use std::collections::BTreeSet;
use std::fs;

/// The names of settings in a text: capitals with a prefix of ours.
fn settings(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_uppercase() && c != '_')
        .filter(|word| ["BRIDGE_", "NATS_", "SLACK_", "BP_"].iter().any(|p| word.starts_with(p)))
        .filter(|word| !["NATS_MESSAGE_ID"].contains(word))
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_setting_is_told_and_no_other() {
    let mut read = settings("BP_TOKEN BP_INTEGRATION_ID BP_API_URL");
    for file in fs::read_dir("src").unwrap() {
        read.append(&mut settings(&fs::read_to_string(file.unwrap().path()).unwrap()));
    }
    let readme = fs::read_to_string("README.md").unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| `")).collect::<String>();
    assert_eq!(settings(&rows), read);
    for file in fs::read_dir("deploy").unwrap() {
        let file = file.unwrap().path();
        let unknown = &settings(&fs::read_to_string(&file).unwrap()) - &read;
        assert!(unknown.is_empty(), "{file:?} sets {unknown:?}");
    }
}
