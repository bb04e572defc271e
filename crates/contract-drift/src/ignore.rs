//! Findings that are known and do no harm.

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::parse::parse;

/// Findings to leave out, as a file lists them:
///
/// ```yaml
/// - operation: createUser
///   place: request.name
///   code: bound
///   reason: our names are short
/// ```
///
/// What an entry does not name, may be anything. A place includes what is below it.
#[derive(Clone, Debug, Default)]
pub struct Ignore(Vec<Entry>);

/// An entry of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    operation: Option<String>,
    place: Option<String>,
    code: Option<String>,
    #[serde(rename = "reason")]
    _reason: Option<String>,
}

impl Ignore {
    /// Reads a JSON or YAML text.
    pub fn parse(text: &str) -> Result<Self> {
        let entries: Vec<Entry> =
            serde_json::from_value(parse(text)?).map_err(|e| Error::from(e.to_string()))?;
        if entries.iter().any(Entry::is_empty) {
            return Err("an entry names neither an operation nor a place nor a code".into());
        }
        Ok(Self(entries))
    }

    /// Takes out what an entry matches. Returns the entries that match nothing, as text.
    pub fn take_from(&self, findings: &mut Vec<Finding>) -> Vec<String> {
        let unused = self.0.iter().filter(|entry| !findings.iter().any(|f| entry.matches(f)));
        let unused = unused.map(Entry::to_text).collect();
        findings.retain(|finding| !self.0.iter().any(|entry| entry.matches(finding)));
        unused
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.operation.is_none() && self.place.is_none() && self.code.is_none()
    }

    fn matches(&self, finding: &Finding) -> bool {
        let place = finding.place.to_string();
        let is_within = |outer: &String| {
            place.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.operation.as_ref().is_none_or(|operation| finding.operation == *operation)
            && self.place.as_ref().is_none_or(is_within)
            && self.code.as_ref().is_none_or(|code| finding.code.name() == code)
    }

    fn to_text(&self) -> String {
        let parts = [&self.operation, &self.place, &self.code].into_iter().flatten();
        parts.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Code, Difference, Place, Verdict};

    #[test]
    fn entry_matches_what_it_names() {
        let finding = || {
            let place = Place::new(["request", "name", "first"]);
            Difference::new(Code::Bound, &place, "x").of(Verdict::Break, "createUser")
        };
        struct Case {
            entry: &'static str,
            matches: bool,
        }
        let cases = [
            Case { entry: "{ operation: createUser }", matches: true },
            Case { entry: "{ code: bound, reason: x }", matches: true },
            Case { entry: "{ place: request.name }", matches: true },
            Case { entry: "{ place: request.name.first, code: bound }", matches: true },
            Case { entry: "{ operation: createUsers }", matches: false },
            Case { entry: "{ place: request.nam }", matches: false },
            Case { entry: "{ place: request.name, code: type }", matches: false },
        ];
        for Case { entry, matches } in cases {
            let mut findings = vec![finding()];
            let unused = Ignore::parse(&format!("[{entry}]")).unwrap().take_from(&mut findings);
            assert_eq!((findings.is_empty(), unused.is_empty()), (matches, matches), "{entry}");
        }
    }

    #[test]
    fn mistake_in_the_file_is_an_error() {
        for text in ["{}", "[{}]", "[{ reason: x }]", "[{ codes: a }]", "a"] {
            assert!(Ignore::parse(text).is_err(), "{text}");
        }
    }
}
