//! Contracts of earlier versions, in normal form, kept in files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::normal::Document;

/// The contract of each operation in normal form, by the operation's name.
pub type Contracts = BTreeMap<String, Value>;

/// The contracts of some versions, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Pins(Vec<Pin>);

/// The contracts of one version.
#[derive(Clone, Debug)]
pub struct Pin {
    pub version: String,
    pub contracts: Contracts,
}

/// Why the vendor possibly does not serve a document today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Its version is older than the newest pin.
    Outdated,
    /// Its version cannot be compared with those of the pins.
    Unversioned,
}

impl Pins {
    /// Reads every file `VERSION.json` of a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let at = |path: &Path, cause: &dyn std::fmt::Display| {
            Error::from(cause.to_string()).in_(path.display())
        };
        let mut pins = Vec::new();
        for entry in fs::read_dir(folder).map_err(|e| at(folder, &e))? {
            let path = entry.map_err(|e| at(folder, &e))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let version = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            order_of(&version).ok_or_else(|| at(&path, &"its name is not a version"))?;
            let text = fs::read_to_string(&path).map_err(|e| at(&path, &e))?;
            let contracts = contracts(&text).map_err(|e| e.in_(path.display()))?;
            pins.push(Pin { version, contracts });
        }
        if pins.is_empty() {
            return Err(at(folder, &"it contains no pin"));
        }
        pins.sort_by_key(|pin| order_of(&pin.version));
        Ok(Self(pins))
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Pin> {
        self.0.iter()
    }

    pub fn newest(&self) -> Option<&Pin> {
        self.0.last()
    }

    /// Whether the version of a document leaves doubt that the vendor serves it today.
    pub fn doubt(&self, document: &Document) -> Option<Doubt> {
        let newest = order_of(&self.newest()?.version);
        match document.version().and_then(order_of) {
            None => Some(Doubt::Unversioned),
            version if version < newest => Some(Doubt::Outdated),
            _ => None,
        }
    }
}

impl Pin {
    /// Writes `VERSION.json` to a folder, and returns the path of that file.
    pub fn write(&self, folder: &Path) -> Result<std::path::PathBuf> {
        let Self { version, contracts } = self;
        let text = || format!("{version:?} is not a version like 1.2.3: choose one with --as");
        order_of(version).ok_or_else(text)?;
        let path = folder.join(format!("{version}.json"));
        let write = || {
            let text = serde_json::to_string_pretty(contracts)?;
            fs::create_dir_all(folder)?;
            fs::write(&path, text + "\n")
        };
        write().map_err(|e: std::io::Error| Error::from(e.to_string()).in_(path.display()))?;
        Ok(path)
    }
}

/// Whether a JSON value has the form of a pin.
pub fn is_pin(value: &Value) -> bool {
    let contracts = value.as_object();
    contracts.is_some_and(|all| !all.is_empty() && all.values().all(|one| flaw(one).is_none()))
}

fn contracts(text: &str) -> Result<Contracts> {
    let value = serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))?;
    let Value::Object(contracts) = value else { return Err("not a pin".into()) };
    if contracts.is_empty() {
        return Err("a pin without operations".into());
    }
    let flaws = contracts.iter().find_map(|(name, contract)| Some((name, flaw(contract)?)));
    match flaws {
        Some((name, flaw)) => Err(format!("a damaged pin: {name}: {flaw}").into()),
        None => Ok(contracts.into_iter().collect()),
    }
}

/// The reason why this is not a contract in normal form, if there is one.
fn flaw(contract: &Value) -> Option<String> {
    type Is = fn(&Value) -> bool;
    let are_objects: Is =
        |value| value.as_object().is_some_and(|members| members.values().all(Value::is_object));
    let are_texts: Is =
        |value| value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
    let required: [(&str, Is); 5] = [
        ("method", Value::is_string),
        ("path", Value::is_string),
        ("servers", are_texts),
        ("parameters", are_objects),
        ("responses", are_objects),
    ];
    let optional: [(&str, Is); 3] = [
        ("requestBody", Value::is_object),
        ("security", |value| value.as_array().is_some_and(|all| all.iter().all(Value::is_array))),
        ("definitions", Value::is_object),
    ];
    let missing = required.iter().find(|(key, is)| !is(&contract[*key]));
    let wrong = || optional.iter().find(|(key, is)| contract.get(*key).is_some_and(|v| !is(v)));
    missing.or_else(wrong).map(|(key, _)| format!("`{key}` is missing or has another form"))
}

/// A part of a version. A suffix after the numbers (`-beta`) sorts before the release.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Text(String),
    End,
    Number(u64),
}

/// The sort key of a version. `None` if it has no number or cannot be a file name.
fn order_of(version: &str) -> Option<Vec<Part>> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
    if version.starts_with('.') || !version.chars().all(is_allowed) {
        return None;
    }
    let release = version.split('+').next().unwrap_or_default();
    let mut rest = release.strip_prefix(['v', 'V']).unwrap_or(release);
    let mut parts = Vec::new();
    while let Some(first) = rest.chars().next() {
        let is_same = |c: char| {
            c.is_ascii_digit() == first.is_ascii_digit()
                && c.is_ascii_alphanumeric() == first.is_ascii_alphanumeric()
        };
        let (part, after) = rest.split_at(rest.find(|c| !is_same(c)).unwrap_or(rest.len()));
        rest = after;
        if first.is_ascii_digit() {
            parts.push(Part::Number(part.parse().ok()?));
        } else if first.is_ascii_alphabetic() {
            parts.push(Part::Text(part.to_owned()));
        }
    }
    parts.push(Part::End);
    parts.iter().any(|part| matches!(part, Part::Number(_))).then_some(parts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outdated_document_leaves_doubt() {
        let pin = |version: &str| Pin { version: version.into(), contracts: Contracts::new() };
        let pins = Pins(vec![pin("1.9.0"), pin("1.10.0")]);
        let cases = [
            ("0.79.0", Some(Doubt::Outdated)),
            ("1.9.0", Some(Doubt::Outdated)),
            ("1", Some(Doubt::Outdated)),
            ("1.10.0", None),
            ("1.11.0", None),
            ("10.0.0", None),
            ("today", Some(Doubt::Unversioned)),
        ];
        for (version, doubt) in cases {
            let document = json!({ "openapi": "3.0.0", "info": { "version": version } });
            assert_eq!(pins.doubt(&Document::new(document).unwrap()), doubt, "{version}");
        }
        let document = Document::new(json!({ "openapi": "3.0.0" })).unwrap();
        assert_eq!(pins.doubt(&document), Some(Doubt::Unversioned));
        assert_eq!(Pins::default().doubt(&document), None);
    }

    #[test]
    fn pins_are_read_in_the_order_of_their_versions() {
        let folder = tempfile::tempdir().unwrap();
        let error = || Pins::read(folder.path()).unwrap_err().to_string();
        assert!(error().contains("it contains no pin"), "{}", error());
        for version in ["1.10.0", "1.9.0", "0.79.0"] {
            let contract = json!({
                "method": "get",
                "path": format!("/{version}"),
                "servers": [],
                "parameters": {},
                "responses": {},
            });
            let contracts = [("op".to_owned(), contract)].into();
            Pin { version: version.into(), contracts }.write(folder.path()).unwrap();
        }
        fs::write(folder.path().join("README.md"), "x").unwrap();
        let pins = Pins::read(folder.path()).unwrap();
        let versions: Vec<_> = pins.iter().map(|pin| pin.version.as_str()).collect();
        assert_eq!(versions, ["0.79.0", "1.9.0", "1.10.0"]);
        assert_eq!(pins.newest().unwrap().contracts["op"]["path"], json!("/1.10.0"));

        fs::write(folder.path().join("latest.json"), "{}").unwrap();
        assert!(error().ends_with("latest.json: its name is not a version"), "{}", error());
        fs::remove_file(folder.path().join("latest.json")).unwrap();
        fs::write(folder.path().join("2.json"), "[").unwrap();
        assert!(error().contains("2.json: "), "{}", error());
    }

    #[test]
    fn versions_are_sorted_like_releases() {
        let ascending = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-beta.2",
            "1.0.0-beta.10",
            "1.0.0-rc1",
            "v1.0.0",
            "1.0.1",
            "1.10.0",
            "v2",
            "2022-11-28",
            "2026-03-10",
        ];
        for pair in ascending.windows(2) {
            assert!(
                order_of(pair[0]).is_some() && order_of(pair[0]) < order_of(pair[1]),
                "{pair:?}"
            );
        }
        assert!(order_of("v1.2") == order_of("1.2+build.5"));
    }

    #[test]
    fn damaged_pin_is_an_error() {
        let right = r#"{ "op": { "method": "get", "path": "/", "servers": [], "parameters": {},
            "responses": {} } }"#;
        assert!(contracts(right).is_ok());
        let damages = [
            ("\"get\"", "1"),
            ("\"path\"", "\"paths\""),
            ("[]", "[1]"),
            ("{},", "[],"),
            ("\"responses\": {}", "\"responses\": { \"200\": null }"),
            ("\"responses\": {}", "\"responses\": {}, \"requestBody\": []"),
            ("\"responses\": {}", "\"responses\": {}, \"security\": [{}]"),
        ];
        for (part, damage) in damages {
            let error = contracts(&right.replace(part, damage)).unwrap_err().to_string();
            assert!(error.starts_with("a damaged pin: op: "), "{damage}: {error}");
        }
        for (text, cause) in [("{", "not JSON"), ("[]", "not a pin"), ("{}", "without operations")]
        {
            let error = contracts(text).unwrap_err().to_string();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }

    #[test]
    fn pin_without_a_version_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["", "latest", "../1.0", "1/2"] {
            let pin = Pin { version: version.into(), contracts: Contracts::new() };
            assert!(pin.write(folder.path()).is_err(), "{version}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
