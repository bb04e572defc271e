//! Why documents cannot be compared.

use std::fmt;

/// Why a document cannot be read or compared, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub(crate) String);

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The same with what it happened to: `openapi.json: not JSON`.
    pub(crate) fn in_(self, what: impl fmt::Display) -> Self {
        Self(format!("{what}: {self}"))
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Self(text.replace(['\n', '\r'], " "))
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}
