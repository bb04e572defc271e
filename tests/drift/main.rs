//! Does `spec/botpress.yaml` still describe a client that works against the vendor's contract?
//!
//! `spec/vendor/VERSION.json` pins that contract by version. A fresh document is compared with
//!
//!     BOTPRESS_OPENAPI=path/to/openapi.json cargo test --test drift
//!
//! and pinned with
//!
//!     BOTPRESS_OPENAPI=path/to/openapi.json BOTPRESS_PIN=VERSION cargo test --test drift a_fresh
//!
//! A second witness is the vendor's client: `BOTPRESS_TYPES` names a document that `.ci/witness.mjs`
//! makes of its types.

mod agreement;
mod contract;
mod edits;
#[path = "../support/mod.rs"]
mod support;
mod types;
mod witness;

use std::{env, fs};

use agreement::breaks;
use contract::contract;
use serde_json::Value;

const METHOD: &str = "post";
const PATH: &str = "/v1/chat/messages/get-or-create";

fn ours() -> Value {
    let spec = fs::read_to_string("spec/botpress.yaml").unwrap();
    contract(&serde_yaml::from_str(&spec).unwrap(), METHOD, PATH).unwrap()
}

fn file(version: &str) -> String {
    format!("spec/vendor/{version}.json")
}

/// The parts of a version, which are compared as numbers.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}

/// The pinned contracts, oldest first.
fn pinned() -> Vec<(String, Value)> {
    let files = fs::read_dir("spec/vendor").unwrap().map(|entry| entry.unwrap().file_name());
    let versions =
        files.map(|name| name.into_string().unwrap().strip_suffix(".json").unwrap().to_owned());
    let mut versions: Vec<_> = versions.collect();
    versions.sort_by_key(|version| numbers(version).unwrap());
    let read = |version: String| {
        let contract = serde_json::from_str(&fs::read_to_string(file(&version)).unwrap()).unwrap();
        (version, contract)
    };
    versions.into_iter().map(read).collect()
}

#[test]
fn the_spec_agrees_with_the_pinned_versions() {
    let ours = ours();
    let versions = pinned();
    for (version, theirs) in &versions {
        let found: Vec<_> = breaks(&ours, theirs).into_iter().map(|(at, _)| at).collect();
        let expected: &[&str] = match version.as_str() {
            "0.79.0" => &["request.origin", "response.message.updatedAt"],
            "1.14.0" => &["request.origin"],
            _ => &[],
        };
        assert_eq!(found, expected, "{version}");
    }
    for version in ["0.79.0", "1.14.0", "1.70.2", "1.82.0", "1.108.0"] {
        assert!(versions.iter().any(|(pinned, _)| pinned == version), "{version} is not pinned");
    }
}

#[test]
fn a_fresh_document_has_the_contract_of_a_pinned_one() {
    let Ok(path) = env::var("BOTPRESS_OPENAPI") else {
        return println!("BOTPRESS_OPENAPI is not set, so there is no document to compare");
    };
    let document = document(&path);
    let comparison = compare(document.as_ref(), whole);
    if let (Some((fresh, _)), Ok(version)) = (&comparison.1, env::var("BOTPRESS_PIN")) {
        let text = serde_json::to_string_pretty(fresh).unwrap();
        fs::write(file(&version), text + "\n").unwrap();
        return println!("pinned as {}", file(&version));
    }
    tell(document.as_ref(), &comparison, "pin the document:");
    if !comparison.0.is_empty() {
        println!("BOTPRESS_OPENAPI={path} BOTPRESS_PIN=VERSION cargo test --test drift a_fresh");
        panic!("the contract is not a pinned one");
    }
}

#[test]
fn the_types_of_a_client_have_the_contract_of_a_pinned_one() {
    let Ok(path) = env::var("BOTPRESS_TYPES") else {
        return println!("BOTPRESS_TYPES is not set, so there are no types to compare");
    };
    let document = document(&path);
    let comparison = compare(document.as_ref(), types::told);
    tell(document.as_ref(), &comparison, "pin what is new by hand, since types have no bounds.");
    assert!(comparison.0.is_empty(), "the contract is not a pinned one");
}

fn document(path: &str) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    serde_json::from_str(&text).map_err(|e| format!("not JSON: {e}"))
}

/// Prints a comparison in one piece, since tests run side by side.
fn tell(document: Result<&Value, &String>, (lines, fresh): &Comparison, next: &str) {
    let mut text = document.map(age).unwrap_or_default();
    for line in lines {
        text += &format!("\n{line}");
    }
    match fresh {
        Some((_, pin)) if lines.is_empty() => text += &format!("\nIt agrees with the pin {pin}."),
        Some(_) => text += &format!("\nChange the spec until no BREAK is left, then {next}"),
        None => {}
    }
    println!("\n{text}");
}

/// Of which version a document is, aloud if it proves little.
fn age(document: &Value) -> String {
    let text = |key: &str| document["info"][key].as_str().unwrap_or("unknown");
    let (title, version) = (text("title"), text("version"));
    let (newest, _) = pinned().pop().unwrap();
    let old = match numbers(version) {
        None => "is no version that can be compared with",
        version if version < numbers(&newest) => "is older than",
        _ => return format!("INFO {title}: version {version}; the newest pin is {newest}."),
    };
    format!(
        "WARNING {title}: version {version} {old} the newest pin, {newest}. It shows only that the \
         past has not changed, not what the vendor serves today."
    )
}

/// What a comparison looks at of a contract; the other one is that of the document.
type View = fn(&Value, &Value) -> Value;

fn whole(contract: &Value, _: &Value) -> Value {
    contract.clone()
}

/// Every difference and the verdict, a line each, none if the contract is a pinned one; and the
/// document's contract with the version of the pin that is nearest.
type Comparison = (Vec<String>, Option<(Value, String)>);

fn compare(document: Result<&Value, &String>, view: View) -> Comparison {
    let read = document
        .map_err(String::clone)
        .and_then(|document| Ok((document, contract(document, METHOD, PATH)?)));
    let (document, fresh) = match read {
        Ok(read) => read,
        Err(cause) => {
            return (vec![format!("BREAK document: {cause}"), "drift: break".into()], None);
        }
    };
    let seen = view(&fresh, &fresh);
    let pinned = pinned().into_iter().rev();
    let pinned = pinned.map(|(version, pin)| (version, differences(&view(&pin, &fresh), &seen)));
    let pinned: Vec<_> = pinned.collect();
    let silent = pinned.iter().find(|(version, differences)| {
        document["info"]["version"] == **version && !differences.is_empty()
    });
    let (pin, nearest) = pinned.iter().min_by_key(|(_, differences)| differences.len()).unwrap();
    let mut lines = Vec::new();
    if !nearest.is_empty() || silent.is_some() {
        let breaks = breaks(&view(&ours(), &fresh), &seen);
        lines.extend(breaks.iter().map(|(at, what)| format!("BREAK {at}: {what}")));
        lines.extend(silent.map(|(version, _)| {
            format!("NOTICE document: version {version} is pinned with another contract")
        }));
        let within = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}."));
        let told =
            |at: &str| breaks.iter().any(|(broken, _)| within(at, broken) || within(broken, at));
        let notices = nearest.iter().filter(|(at, _)| !told(at));
        lines.extend(notices.map(|(at, what)| format!("NOTICE {at}: {what}")));
        lines.push(format!("drift: {}", if breaks.is_empty() { "notice" } else { "break" }));
    }
    (lines, Some((fresh, pin.clone())))
}

/// What changed between two contracts, each with the place that the rules give to it.
fn differences(old: &Value, new: &Value) -> Vec<(String, String)> {
    type Side<'a> = Option<&'a Value>;
    fn walk(old: Side, new: Side, at: String, found: &mut Vec<(String, String)>) {
        let below = |key: &str| match key {
            "content" | "application/json" | "schema" | "properties" => at.clone(),
            "requestBody" => "request".into(),
            "200" => "response".into(),
            _ if at.is_empty() => key.into(),
            "additionalProperties" => format!("{at}.*"),
            _ => format!("{at}.{key}"),
        };
        match (old, new) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
                    walk(old.get(key), new.get(key), below(key), found);
                }
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) if old != new => {
                let changed = |from: &[Value], to: &[Value]| -> Vec<String> {
                    from.iter().filter(|item| !to.contains(item)).map(Value::to_string).collect()
                };
                let place = |item: &str| match at.strip_suffix("required") {
                    Some(object) => format!("{object}{}", item.trim_matches('"')),
                    None => at.clone(),
                };
                let (gone, added) = (changed(old, new), changed(new, old));
                if gone.is_empty() && added.is_empty() {
                    found.push((at.clone(), "the same items in another number".into()));
                }
                let told =
                    |how: &str, item: &String| (place(item), format!("{how} {} {item}", last(&at)));
                found.extend(gone.iter().map(|item| told("no longer", item)));
                found.extend(added.iter().map(|item| told("now", item)));
            }
            (None, Some(new)) => found.push((at, format!("new, {new}"))),
            (Some(old), None) => found.push((at, format!("gone, was {old}"))),
            (Some(old), Some(new)) if old != new => {
                found.push((at, format!("was {old}, is {new}")))
            }
            _ => {}
        }
    }
    fn last(at: &str) -> &str {
        at.rsplit('.').next().unwrap_or_default()
    }
    let mut found = Vec::new();
    walk(Some(old), Some(new), String::new(), &mut found);
    found
}
