//! Why documents cannot be compared.

use std::fmt;

/// Why a document cannot be read or compared, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    text: String,
    /// Whether a limit of this crate is the cause, not a mistake in the document.
    is_limit: bool,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Nothing is wrong with the document, but it exceeds a limit of this crate.
    pub(crate) fn limit(text: impl Into<String>) -> Self {
        Self { is_limit: true, ..Self::from(text.into()) }
    }

    pub(crate) fn is_limit(&self) -> bool {
        self.is_limit
    }

    /// The same error with a prefix, such as the file: `openapi.json: not JSON`.
    pub(crate) fn in_(self, what: impl fmt::Display) -> Self {
        Self { text: format!("{what}: {}", self.text), ..self }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Self { text: text.replace(['\n', '\r'], " "), is_limit: false }
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}
