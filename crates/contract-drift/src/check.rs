//! Compares the operations of our spec with those of the vendor's document.

use serde_json::Value;

use crate::agreement;
use crate::changes::changes;
use crate::error::{Error, Result};
use crate::finding::{Code, Difference, Finding, Place, Verdict};
use crate::normal::{Document, Operation};
use crate::pins::{Contracts, Pin, Pins};
use crate::types;

/// The operations of a hand-written OpenAPI document: what the client sends and reads.
pub struct Spec {
    operations: Vec<Operation>,
    contracts: Contracts,
}

/// How to check.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The versions that are known. A document that differs from all of them gets notices.
    pub pins: Pins,
    /// Whether the vendor's document was made from types, which say nothing of bounds, formats,
    /// servers, security and errors. These are left out of the comparison then.
    pub types: bool,
}

/// The contract of each operation of the spec in the vendor's document, or why there is none.
type Theirs<'a> = Vec<(&'a str, std::result::Result<Value, Difference>)>;

impl Spec {
    /// Fails unless every operation can be read.
    pub fn new(document: &Document) -> Result<Self> {
        let operations = document.operations()?;
        let contracts = pin(document, None)?;
        if operations.is_empty() {
            return Err("it has no operations".into());
        }
        if contracts.len() < operations.len() {
            return Err("two operations have the same `operationId`".into());
        }
        Ok(Self { operations, contracts })
    }

    /// The names of its operations.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.contracts.keys().map(String::as_str)
    }

    /// The contracts of its operations, by their names.
    pub fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    fn in_document<'a>(&'a self, document: &Document) -> Theirs<'a> {
        let mut all: Theirs =
            self.operations.iter().map(|o| (&*o.name, contract(document, o))).collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }
}

/// Where the client that `ours` describes does not work against `theirs`, and, if versions are pinned,
/// what `theirs` has that no pinned version had.
pub fn check(ours: &Spec, theirs: &Document, options: &Options) -> Vec<Finding> {
    let fresh = ours.in_document(theirs);
    let mut found = compare(&ours.contracts, &fresh, options, agreement::breaks, Verdict::Break);
    let differences = |pin: &Pin| {
        let mut found = compare(&pin.contracts, &fresh, options, changes, Verdict::Notice);
        found.dedup();
        found
    };
    let pinned: Vec<_> =
        options.pins.iter().rev().map(|pin| (&pin.version, differences(pin))).collect();
    let changed = pinned.iter().find(|(version, differences)| {
        theirs.version() == Some(version.as_str()) && !differences.is_empty()
    });
    if let Some((version, _)) = changed {
        let text = format!("version {version} is pinned with another contract");
        let difference = Difference::new(Code::SameVersion, &Place::default(), text);
        found.push(difference.of(Verdict::Notice, "document"));
    }
    let nearest = pinned.into_iter().min_by_key(|(_, differences)| differences.len());
    let is_known = |notice: &Finding| {
        found.iter().any(|finding| {
            let related =
                finding.place.is_within(&notice.place) || notice.place.is_within(&finding.place);
            finding.operation == notice.operation && related
        })
    };
    let mut notices = nearest.map(|(_, differences)| differences).unwrap_or_default();
    notices.retain(|notice| !is_known(notice));
    found.extend(notices);
    found
}

/// Where the client that `ours` describes does not work against a pinned version. Operations that the
/// version does not have are not compared.
pub fn check_pin(ours: &Spec, pin: &Pin) -> Vec<Finding> {
    let theirs = pin.contracts.iter().filter(|(name, _)| ours.contracts.contains_key(*name));
    let theirs: Theirs = theirs.map(|(name, contract)| (&**name, Ok(contract.clone()))).collect();
    compare(&ours.contracts, &theirs, &Options::default(), agreement::breaks, Verdict::Break)
}

/// The pinned version whose contracts are those of the document.
pub fn pinned<'a>(ours: &Spec, theirs: &Document, options: &'a Options) -> Option<&'a Pin> {
    let fresh = ours.in_document(theirs);
    let is_same =
        |pin: &&Pin| compare(&pin.contracts, &fresh, options, changes, Verdict::Notice).is_empty();
    options.pins.iter().rev().find(is_same)
}

/// The contracts of a document in normal form: those of the operations of `ours`, by the names that
/// they have there, or of all operations. An operation of `ours` that it lacks is left out.
pub fn pin(theirs: &Document, ours: Option<&Spec>) -> Result<Contracts> {
    let all;
    let operations = match ours {
        Some(ours) => &ours.operations,
        None => {
            all = theirs.operations()?;
            &all
        }
    };
    let mut contracts = Contracts::new();
    for Operation { name, method, path } in operations {
        if let Some(contract) = theirs.contract(method, path).map_err(|e| e.in_(name))? {
            contracts.insert(name.clone(), contract);
        }
    }
    Ok(contracts)
}

fn contract(
    document: &Document,
    Operation { method, path, .. }: &Operation,
) -> std::result::Result<Value, Difference> {
    let difference = |code, text| Difference::new(code, &Place::default(), text);
    match document.contract(method, path) {
        Ok(Some(contract)) => Ok(contract),
        Ok(None) => {
            let text = format!("the document lacks {method} {path}");
            Err(difference(Code::OperationMissing, text))
        }
        Err(Error(cause)) => Err(difference(Code::OperationUnreadable, cause)),
    }
}

/// What is found between the contracts of each operation.
fn compare(
    ones: &Contracts,
    others: &Theirs,
    options: &Options,
    find: fn(&Value, &Value) -> Vec<Difference>,
    verdict: Verdict,
) -> Vec<Finding> {
    let of_one = |(name, other): &(&str, std::result::Result<Value, Difference>)| {
        let found = match (other, ones.get(*name)) {
            (Err(difference), _) => vec![difference.clone()],
            (Ok(_), None) => {
                vec![Difference::new(Code::Changed, &Place::default(), "is not pinned")]
            }
            (Ok(other), Some(one)) if options.types => {
                find(&types::view(one, other), &types::view(other, other))
            }
            (Ok(other), Some(one)) => find(one, other),
        };
        found.into_iter().map(|difference| difference.of(verdict, name)).collect::<Vec<_>>()
    };
    others.iter().flat_map(of_one).collect()
}
