//! `--help` lists every setting, and the other documents name no settings that do not exist.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

const SECRETS: [&str; 8] = [
    "BRIDGE_KEY",
    "SLACK_SIGNING_SECRET",
    "TELEGRAM_SECRET_TOKEN",
    "WHATSAPP_APP_SECRET",
    "WHATSAPP_VERIFY_TOKEN",
    "NATS_PASSWORD",
    "NATS_TOKEN",
    "BP_TOKEN",
];
/// The prefixes of our settings' names.
const PREFIXES: [&str; 6] = ["BRIDGE_", "NATS_", "SLACK_", "TELEGRAM_", "WHATSAPP_", "BP_"];

fn output(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_botpress-bridge"));
    let command = command.args(arguments).env_clear().envs(SECRETS.map(|name| (name, "hunter2")));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names of settings in a text: words in capitals with one of our prefixes.
fn settings(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_uppercase() && c != '_')
        .filter(|word| {
            PREFIXES.iter().any(|p| word.strip_prefix(p).is_some_and(|rest| !rest.is_empty()))
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn help_lists_every_setting_but_no_values() {
    assert_eq!(
        output(&["--version"]),
        concat!("botpress-bridge ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let commands =
        [&["receive", "--help"][..], &["deliver", "--help"], &["dead", "list", "--help"]];
    let help: String = commands.into_iter().map(output).collect();
    assert!(help.starts_with("Take webhooks") && help.contains("Usage: botpress-bridge receive"));
    assert!(!help.contains("hunter2"), "{help}");
    let known = settings(&help);
    assert!(SECRETS.iter().all(|name| known.contains(*name)), "{known:?}");

    let mut documents = vec!["README.md".into()];
    documents.extend(fs::read_dir("deploy").unwrap().map(|file| file.unwrap().path()));
    for document in documents {
        let unknown = &settings(&fs::read_to_string(&document).unwrap()) - &known;
        assert!(unknown.is_empty(), "{document:?} names {unknown:?}");
    }
}
