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

/// Why a document proves little about what the vendor serves today.
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
            numbers(&version).ok_or_else(|| at(&path, &"its name is no version"))?;
            let text = fs::read_to_string(&path).map_err(|e| at(&path, &e))?;
            let contracts = serde_json::from_str(&text).map_err(|e| at(&path, &e))?;
            pins.push(Pin { version, contracts });
        }
        if pins.is_empty() {
            return Err(at(folder, &"it contains no pin"));
        }
        pins.sort_by_key(|pin| numbers(&pin.version));
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
        let newest = numbers(&self.newest()?.version);
        match document.version().and_then(numbers) {
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
        numbers(version).ok_or_else(|| format!("{version:?} is no version like 1.2.3"))?;
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

/// The parts of a version, which are compared as numbers.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|number| number.parse().ok()).collect()
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
            let contracts = [("op".to_owned(), json!(version))].into();
            Pin { version: version.into(), contracts }.write(folder.path()).unwrap();
        }
        fs::write(folder.path().join("README.md"), "x").unwrap();
        let pins = Pins::read(folder.path()).unwrap();
        let versions: Vec<_> = pins.iter().map(|pin| pin.version.as_str()).collect();
        assert_eq!(versions, ["0.79.0", "1.9.0", "1.10.0"]);
        assert_eq!(pins.newest().unwrap().contracts["op"], json!("1.10.0"));

        fs::write(folder.path().join("latest.json"), "{}").unwrap();
        assert!(error().ends_with("latest.json: its name is no version"), "{}", error());
        fs::remove_file(folder.path().join("latest.json")).unwrap();
        fs::write(folder.path().join("2.json"), "[").unwrap();
        assert!(error().contains("2.json: "), "{}", error());
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
