//! Known, harmless findings.

use serde_json::Value;

use crate::error::Result;
use crate::finding::Finding;
use crate::parse::{entries_of, parse, text_of};

/// Findings to leave out, as a file lists them:
///
/// ```yaml
/// - operation: createUser
///   place: request.name
///   code: bound
///   reason: our names are short
/// ```
///
/// A key that an entry leaves out matches everything. A place includes everything below it.
#[derive(Clone, Debug, Default)]
pub struct Ignore(Vec<Entry>);

/// An entry of the file.
#[derive(Clone, Debug)]
struct Entry {
    operation: Option<String>,
    place: Option<String>,
    code: Option<String>,
}

impl Ignore {
    /// Reads a JSON or YAML text.
    pub fn parse(text: &str) -> Result<Self> {
        let entries = match parse(text)? {
            Value::Null => Vec::new(),
            Value::Array(entries) => entries,
            _ => return Err("not a list of findings".into()),
        };
        Ok(Self(entries.iter().map(Entry::read).collect::<Result<_>>()?))
    }

    /// Removes the findings that an entry matches. Returns the entries that match nothing, as text.
    pub fn take_from(&self, findings: &mut Vec<Finding>) -> Vec<String> {
        let unused = self.0.iter().filter(|entry| !findings.iter().any(|f| entry.matches(f)));
        let unused = unused.map(Entry::to_text).collect();
        findings.retain(|finding| !self.0.iter().any(|entry| entry.matches(finding)));
        unused
    }
}

impl Entry {
    fn read(value: &Value) -> Result<Self> {
        let known = ["operation", "place", "code", "reason"];
        let entries = entries_of(value, "an entry", &known)?;
        text_of(entries, "reason")?;
        let [operation, place, code] =
            ["operation", "place", "code"].map(|key| text_of(entries, key));
        let entry = Self { operation: operation?, place: place?, code: code? };
        if entry.to_text().is_empty() {
            return Err("an entry names neither an operation nor a place nor a code".into());
        }
        Ok(entry)
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
        let cases = [
            ("{}", "not a list of findings"),
            ("a", "not a list of findings"),
            ("[a]", "an entry is not a mapping"),
            ("[{}]", "an entry names neither an operation nor a place nor a code"),
            ("[{ reason: x }]", "an entry names neither an operation nor a place nor a code"),
            ("[{ code: 1 }]", "`code` is not a text"),
            (
                "[{ codes: a }]",
                "an entry has the unknown key `codes`; known are `operation`, `place`, `code`, `reason`",
            ),
        ];
        for (text, cause) in cases {
            assert_eq!(Ignore::parse(text).unwrap_err().to_string(), cause, "{text}");
        }
    }

    #[test]
    fn empty_file_lists_nothing() {
        for text in ["", "# nothing\n", "[]"] {
            assert!(Ignore::parse(text).unwrap().0.is_empty(), "{text}");
        }
    }
}
