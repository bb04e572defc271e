//! Does the client that a hand-written OpenAPI file describes still work against the vendor's document?

pub mod agreement;
pub mod contract;
pub mod types;
