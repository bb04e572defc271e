//! The findings of a check.

use std::fmt;

/// A difference between the two documents.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    pub verdict: Verdict,
    pub code: Code,
    /// The operation of our spec, or `document` if the finding concerns the whole document.
    pub operation: String,
    /// Its place in the operation; empty if the finding concerns all of it.
    pub place: Place,
    /// What the difference is.
    pub text: String,
    /// Where it is in our document.
    pub ours: Option<Location>,
    /// Where it is in theirs.
    pub theirs: Option<Location>,
}

/// A place in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// A JSON Pointer to it, or to what would contain it.
    pub pointer: String,
    /// Its line, if the text of the document is known.
    pub line: Option<usize>,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The contract changed, but the client still works.
    Notice,
    /// A request could be rejected, or a response could be unreadable.
    Break,
}

/// Where in an operation a finding is: `request.tags.*`, `response.message.id`,
/// `parameters.header x-bot-id`.
///
/// `*` stands for every property without a schema of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(Vec<String>);

/// The rule that a finding comes from. Its text form is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// Their document has no such operation.
    OperationMissing,
    /// The operation of their document cannot be read.
    OperationUnreadable,
    /// Their document does not name our server.
    ServerMissing,
    /// Their document requires other credentials than ours sends.
    SecurityUnmet,
    /// A parameter is required, but ours does not require it.
    ParameterRequired,
    /// We can send a parameter that their document does not have.
    ParameterUnknown,
    /// The two sides have no media type of a request or response body in common.
    MediaType,
    /// A success that we do not read.
    ResponseUnknown,
    /// An error that we do not read.
    ErrorUnreadable,
    /// A keyword, or a form of it, that no rule covers.
    NotUnderstood,
    /// A limit of this crate was reached, so that nothing was compared.
    TooComplex,
    /// One side has a schema, and the other has none.
    SchemaMissing,
    /// We can send a property that is read-only there.
    ReadOnly,
    /// A value fits none of the alternatives of `anyOf`.
    AnyOf,
    /// A value does not fit exactly one of the alternatives of `oneOf`.
    OneOf,
    /// A value can be null where null is not allowed.
    Null,
    /// A value is of another type.
    Type,
    /// A value is not among those that are listed.
    Enum,
    /// `format`, `pattern`, `multipleOf` or `uniqueItems` differs.
    Constraint,
    /// A bound is tighter.
    Bound,
    /// A required property can be missing.
    Required,
    /// A property that is not allowed can be present.
    PropertyForbidden,
    /// The contract differs from the pinned one.
    Changed,
    /// This version is pinned with another contract.
    SameVersion,
}

/// A finding of a rule, before its operation and its verdict are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub code: Code,
    pub place: Place,
    pub text: String,
}

impl Code {
    /// Its name: `operation-missing`.
    pub fn name(self) -> &'static str {
        match self {
            Code::OperationMissing => "operation-missing",
            Code::OperationUnreadable => "operation-unreadable",
            Code::ServerMissing => "server-missing",
            Code::SecurityUnmet => "security-unmet",
            Code::ParameterRequired => "parameter-required",
            Code::ParameterUnknown => "parameter-unknown",
            Code::MediaType => "media-type",
            Code::ResponseUnknown => "response-unknown",
            Code::ErrorUnreadable => "error-unreadable",
            Code::NotUnderstood => "not-understood",
            Code::TooComplex => "too-complex",
            Code::SchemaMissing => "schema-missing",
            Code::ReadOnly => "read-only",
            Code::AnyOf => "any-of",
            Code::OneOf => "one-of",
            Code::Null => "null",
            Code::Type => "type",
            Code::Enum => "enum",
            Code::Constraint => "constraint",
            Code::Bound => "bound",
            Code::Required => "required",
            Code::PropertyForbidden => "property-forbidden",
            Code::Changed => "changed",
            Code::SameVersion => "same-version",
        }
    }
}

impl Place {
    pub(crate) fn new<const N: usize>(steps: [&str; N]) -> Self {
        Self(steps.map(str::to_owned).to_vec())
    }

    pub(crate) fn below(&self, step: impl Into<String>) -> Self {
        Self(self.0.iter().cloned().chain([step.into()]).collect())
    }

    /// The place that contains this one.
    pub(crate) fn above(&self) -> Self {
        Self(self.0.split_last().map(|(_, above)| above.to_vec()).unwrap_or_default())
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(crate) fn last(&self) -> &str {
        self.0.last().map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn is_within(&self, other: &Place) -> bool {
        self.0.starts_with(&other.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Difference {
    pub fn new(code: Code, place: &Place, text: impl Into<String>) -> Self {
        Self { code, place: place.clone(), text: text.into() }
    }

    pub fn of(self, verdict: Verdict, operation: &str) -> Finding {
        let Self { code, place, text } = self;
        let operation = operation.to_owned();
        Finding { verdict, code, operation, place, text, ours: None, theirs: None }
    }
}

/// One line: ``BREAK createUser request.name: `maxLength` 100 is tighter [bound]``.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.verdict, self.operation)?;
        if !self.place.is_empty() {
            write!(f, " {}", self.place)?;
        }
        write!(f, ": {} [{}]", self.text, self.code)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Verdict::Notice => "NOTICE",
            Verdict::Break => "BREAK",
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
