//! Compares the operations of our spec with those of the vendor's document.

use serde_json::Value;

use crate::agreement;
use crate::changes::changes;
use crate::client::Client;
use crate::error::Result;
use crate::finding::{Code, Difference, Finding, Location, Place, Verdict};
use crate::locate;
use crate::normal::{Document, Operation};
use crate::pins::{Contracts, Pin, Pins};
use crate::types;

/// The operations of a hand-written OpenAPI document: what the client sends and reads.
pub struct Spec {
    document: Document,
    contracts: Contracts,
}

/// The options of a check.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The versions that are known. A document that differs from all of them gets notices.
    pub pins: Pins,
    /// The behaviour of the client that is not in its spec.
    pub client: Client,
    /// Whether the vendor's document was generated from types. Bounds, formats, servers, security and errors,
    /// which types cannot express, are then not compared.
    pub types: bool,
}

/// The contract of each operation of the spec in the vendor's document, or why there is none.
type Theirs<'a> = Vec<(&'a str, std::result::Result<Value, Difference>)>;

impl Spec {
    /// All operations. Fails unless each can be read.
    pub fn new(document: Document) -> Result<Self> {
        Self::only(document, &[])
    }

    /// Only the operations with these names; all operations if the list is empty.
    pub fn only(document: Document, names: &[String]) -> Result<Self> {
        let operations = document.operations()?;
        let mut contracts = Contracts::new();
        let is_named = |operation: &&Operation| names.is_empty() || names.contains(&operation.name);
        for operation in operations.iter().filter(is_named) {
            let name = &operation.name;
            let Some(contract) = document.contract(operation).map_err(|e| e.in_(name))? else {
                continue;
            };
            if contracts.insert(name.clone(), contract).is_some() {
                return Err(format!("two operations are called {name}").into());
            }
        }
        if let Some(name) = names.iter().find(|name| !contracts.contains_key(*name)) {
            return Err(format!("it has no operation {name}").into());
        }
        if contracts.is_empty() {
            return Err("it has no operations".into());
        }
        Ok(Self { document, contracts })
    }

    /// The names of its operations.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.contracts.keys().map(String::as_str)
    }

    /// The contracts of its operations, by their names.
    pub fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// The contracts of its operations in another document. With `partly`, only the parts that matter to ours.
    fn in_document<'a>(&'a self, document: &Document, partly: bool) -> Theirs<'a> {
        let of_one = |(name, ours): (&'a String, &Value)| {
            let difference = |code, text| Err(Difference::new(code, &Place::default(), text));
            let contract = match document.matching(ours, partly) {
                Ok(Some(contract)) => Ok(contract),
                Ok(None) => {
                    let [method, path] =
                        ["method", "path"].map(|key| ours[key].as_str().unwrap_or_default());
                    let text = format!("the document lacks {method} {path}");
                    difference(Code::OperationMissing, text)
                }
                Err(cause) if cause.is_limit() => difference(Code::TooComplex, cause.to_string()),
                Err(cause) => difference(Code::OperationUnreadable, cause.to_string()),
            };
            (name.as_str(), contract)
        };
        self.contracts.iter().map(of_one).collect()
    }
}

/// Finds where the client that `ours` describes does not work against `theirs`, and, if versions are pinned,
/// how `theirs` differs from all of them.
pub fn check(ours: &Spec, theirs: &Document, options: &Options) -> Vec<Finding> {
    let mut found = findings(ours, theirs, options);
    for finding in &mut found {
        let Some(contract) = ours.contracts.get(&finding.operation) else { continue };
        let [method, path] =
            ["method", "path"].map(|key| contract[key].as_str().unwrap_or_default());
        let their_path = theirs.path_of(contract).ok().flatten().unwrap_or_default();
        let locate = |document, path: &str| {
            let pointer = locate::pointer(document, method, path, &finding.place);
            Some(Location { pointer, line: None })
        };
        finding.ours = locate(&ours.document, path);
        finding.theirs = locate(theirs, &their_path);
    }
    locate::add_lines(&ours.document, found.iter_mut().filter_map(|f| f.ours.as_mut()));
    locate::add_lines(theirs, found.iter_mut().filter_map(|f| f.theirs.as_mut()));
    found
}

fn findings(ours: &Spec, theirs: &Document, options: &Options) -> Vec<Finding> {
    let breaks = |ours: &Value, theirs: &Value| agreement::breaks(ours, theirs, &options.client);
    let partly = ours.in_document(theirs, true);
    let mut found = compare(&ours.contracts, &partly, options, breaks, Verdict::Break);
    if options.pins.newest().is_none() {
        return found;
    }
    let fresh = ours.in_document(theirs, false);
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

/// Finds where the client that `ours` describes does not work against a pinned version. Operations that the
/// version lacks are not compared.
pub fn check_pin(ours: &Spec, pin: &Pin, client: &Client) -> Vec<Finding> {
    let theirs = pin.contracts.iter().filter(|(name, _)| ours.contracts.contains_key(*name));
    let theirs: Theirs = theirs.map(|(name, contract)| (&**name, Ok(contract.clone()))).collect();
    let breaks = |ours: &Value, theirs: &Value| agreement::breaks(ours, theirs, client);
    compare(&ours.contracts, &theirs, &Options::default(), breaks, Verdict::Break)
}

/// The pinned version whose contracts are those of the document.
pub fn pinned<'a>(ours: &Spec, theirs: &Document, options: &'a Options) -> Option<&'a Pin> {
    let fresh = ours.in_document(theirs, false);
    let is_same =
        |pin: &&Pin| compare(&pin.contracts, &fresh, options, changes, Verdict::Notice).is_empty();
    options.pins.iter().rev().find(is_same)
}

/// The contracts of the operations of `ours` in another document, in normal form, by the names that
/// they have in `ours`. An operation that it lacks is left out.
pub fn pin(theirs: &Document, ours: &Spec) -> Result<Contracts> {
    let mut contracts = Contracts::new();
    for (name, ours) in &ours.contracts {
        if let Some(contract) = theirs.matching(ours, false).map_err(|e| e.in_(name))? {
            contracts.insert(name.clone(), contract);
        }
    }
    Ok(contracts)
}

/// The findings between the contracts of each operation.
fn compare(
    ones: &Contracts,
    others: &Theirs,
    options: &Options,
    find: impl Fn(&Value, &Value) -> Vec<Difference>,
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
