//! Does `spec/botpress.yaml` still describe a client that works against the vendor's contract?
//!
//! `spec/vendor/VERSION.json` pins that contract by version, for each operation of the spec by its
//! name. A fresh document is compared with
//!
//!     BOTPRESS_OPENAPI=path/to/openapi.json cargo test --test drift
//!
//! and pinned with
//!
//!     BOTPRESS_OPENAPI=path/to/openapi.json BOTPRESS_PIN=VERSION cargo test --test drift a_fresh
//!
//! A second witness is the vendor's client: `BOTPRESS_TYPES` names a document that `.ci/witness.mjs`
//! makes of its types.

mod edits;
mod witness;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::{env, fs};

use contract_drift::agreement::{self, Break};
use contract_drift::contract::Document;
use contract_drift::types;
use serde_json::Value;

/// The contract of each operation of the spec, by its name, or why there is none.
type Contracts = BTreeMap<String, Result<Value, String>>;

static OURS: LazyLock<Contracts> = LazyLock::new(|| {
    let spec = fs::read_to_string("../../spec/botpress.yaml").unwrap();
    let spec: Value = serde_yaml::from_str(&spec).unwrap();
    let document = Document::new(&spec).unwrap();
    let mut contracts = Contracts::new();
    for (path, item) in spec["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if let Some(name) = operation["operationId"].as_str() {
                contracts.insert(name.into(), Ok(document.contract(method, path).unwrap()));
            }
        }
    }
    contracts
});

/// The same of the pinned versions, oldest first.
static PINNED: LazyLock<Vec<(String, Contracts)>> = LazyLock::new(|| {
    let files = fs::read_dir("../../spec/vendor").unwrap().map(|entry| entry.unwrap().file_name());
    let versions =
        files.map(|name| name.into_string().unwrap().strip_suffix(".json").unwrap().to_owned());
    let mut versions: Vec<_> = versions.collect();
    versions.sort_by_key(|version| numbers(version).unwrap());
    let read = |version: String| {
        let mut pin: Value =
            serde_json::from_str(&fs::read_to_string(file(&version)).unwrap()).unwrap();
        (
            version,
            of_each(|name, _| pin.get_mut(name).map(Value::take).ok_or("is not pinned".into())),
        )
    };
    versions.into_iter().map(read).collect()
});

/// What is found for each operation of the spec, given its name and its contract there.
fn of_each(mut find: impl FnMut(&str, &Value) -> Result<Value, String>) -> Contracts {
    let ours = OURS.iter().map(|(name, ours)| (name, ours.as_ref().unwrap()));
    ours.map(|(name, ours)| (name.clone(), find(name, ours))).collect()
}

fn file(version: &str) -> String {
    format!("../../spec/vendor/{version}.json")
}

/// The parts of a version, which are compared as numbers.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}

#[test]
fn the_spec_agrees_with_the_pinned_versions() {
    for (version, theirs) in PINNED.iter() {
        let found: Vec<_> = breaks(theirs, whole).into_iter().map(|(at, _)| at).collect();
        let expected: &[&str] = match version.as_str() {
            "0.79.0" => &[
                "getOrCreateMessage request.origin",
                "getOrCreateMessage response.message.updatedAt",
            ],
            "1.14.0" => &["getOrCreateMessage request.origin"],
            _ => &[],
        };
        assert_eq!(found, expected, "{version}");
    }
    for version in ["0.79.0", "1.14.0", "1.70.2", "1.82.0", "1.108.0"] {
        assert!(PINNED.iter().any(|(pinned, _)| pinned == version), "{version} is not pinned");
    }
}

#[test]
fn a_fresh_document_has_the_contract_of_a_pinned_one() {
    let Ok(path) = env::var("BOTPRESS_OPENAPI") else {
        return println!("BOTPRESS_OPENAPI is not set, so there is no document to compare");
    };
    let document = document(&path);
    let comparison = compare(document.as_ref(), whole);
    if let (Some((fresh, _)), Ok(version)) = (&comparison.1, env::var("BOTPRESS_PIN"))
        && let Ok(pin) = fresh
            .clone()
            .into_iter()
            .map(|(name, contract)| Ok((name, contract?)))
            .collect::<Result<BTreeMap<_, _>, String>>()
    {
        let text = serde_json::to_string_pretty(&pin).unwrap();
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
    // A path is one from where cargo was called, the root of the project.
    let text = fs::read_to_string(Path::new("../..").join(path)).map_err(|e| e.to_string())?;
    serde_json::from_str(&text).map_err(|e| format!("not JSON: {e}"))
}

/// Prints a comparison in one piece, since tests run side by side.
fn tell(document: Result<&Value, &String>, (lines, fresh): &Comparison, next: &str) {
    let mut text = document.map(age).unwrap_or_default();
    for line in lines {
        text += &format!("\n{line}");
    }
    match fresh {
        Some((fresh, pin)) if lines.is_empty() => {
            let names: Vec<_> = fresh.keys().map(String::as_str).collect();
            text += &format!("\nIt agrees with the pin {pin}: {}.", names.join(", "));
        }
        Some(_) => text += &format!("\nChange the spec until no BREAK is left, then {next}"),
        None => {}
    }
    println!("\n{text}");
}

/// Of which version a document is, aloud if it proves little.
fn age(document: &Value) -> String {
    let text = |key: &str| document["info"][key].as_str().unwrap_or("unknown");
    let (title, version) = (text("title"), text("version"));
    let (newest, _) = PINNED.last().unwrap();
    let old = match numbers(version) {
        None => "is no version that can be compared with",
        version if version < numbers(newest) => "is older than",
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

/// Every difference and the verdict, a line each, none if the contracts are pinned ones; and the
/// document's contracts with the version of the pin that is nearest.
type Comparison = (Vec<String>, Option<(Contracts, String)>);

fn compare(document: Result<&Value, &String>, view: View) -> Comparison {
    let read = document.map_err(String::clone).and_then(|root| Ok((root, Document::new(root)?)));
    let (root, document) = match read {
        Ok(read) => read,
        Err(cause) => {
            return (vec![format!("BREAK document: {cause}"), "drift: break".into()], None);
        }
    };
    let fresh = contracts(&document);
    let pinned = PINNED.iter().rev();
    let pinned = pinned.map(|(version, pin)| (version, between(pin, &fresh, view, changes)));
    let pinned: Vec<_> = pinned.collect();
    let silent = pinned.iter().find(|(version, differences)| {
        root["info"]["version"] == **version && !differences.is_empty()
    });
    let (pin, nearest) = pinned.iter().min_by_key(|(_, differences)| differences.len()).unwrap();
    let mut lines = Vec::new();
    if !nearest.is_empty() || silent.is_some() {
        let breaks = breaks(&fresh, view);
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
    (lines, Some((fresh, pin.to_string())))
}

/// The contracts of a document.
fn contracts(document: &Document) -> Contracts {
    of_each(|_, ours| {
        let [method, path] = ["method", "path"].map(|key| ours[key].as_str().unwrap());
        document.contract(method, path)
    })
}

/// Where our requests may be refused or their answers not be read.
fn breaks(theirs: &Contracts, view: View) -> Vec<Break> {
    between(&OURS, theirs, view, agreement::breaks)
}

/// What is found between the contracts of each operation, at places that begin with its name. That
/// there is none is found too.
fn between(
    ones: &Contracts,
    others: &Contracts,
    view: View,
    find: fn(&Value, &Value) -> Vec<Break>,
) -> Vec<Break> {
    let of_one = |(name, other): (&String, &Result<Value, String>)| -> Vec<Break> {
        let found = match (other, &ones[name]) {
            (Ok(other), Ok(one)) => find(&view(one, other), &view(other, other)),
            (Err(cause), _) | (_, Err(cause)) => vec![(String::new(), cause.clone())],
        };
        let place = |at: String| format!("{name} {at}").trim_end().to_owned();
        found.into_iter().map(|(at, what)| (place(at), what)).collect()
    };
    others.iter().flat_map(of_one).collect()
}

/// What changed between two contracts, each with the place that the rules give to it.
fn changes(old: &Value, new: &Value) -> Vec<Break> {
    type Side<'a> = Option<&'a Value>;
    fn walk(old: Side, new: Side, at: String, are_names: bool, found: &mut Vec<Break>) {
        let below = |key: &str| match key {
            _ if are_names => format!("{at}.{key}"),
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
                    // A property may be called like a keyword.
                    let are_names = key == "properties" && !are_names;
                    walk(old.get(key), new.get(key), below(key), are_names, found);
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
    walk(Some(old), Some(new), String::new(), false, &mut found);
    found
}
