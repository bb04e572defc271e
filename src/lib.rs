#![doc = include_str!("front.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod api;
mod attempt;
mod call;
mod client;
mod config;
mod conversation;
mod date;
mod decode;
mod deliver;
mod delivery;
mod error;
mod generated;
pub mod guarantees;
mod headers;
mod limit;
mod memory;
mod message;
mod record;
mod redaction;
mod retry;
mod trace;
mod turns;
mod user;
mod validate;
mod violation;

/// The contents that a message can have: one struct for each message type.
pub mod content {
    include!(concat!(env!("OUT_DIR"), "/content.rs"));
}

/// The rules of the contract, only for `botpress-sandbox`. Not part of the public API.
#[doc(hidden)]
pub mod contract {
    pub use crate::generated::{OPERATIONS, Operation, Schema};
    pub use crate::validate::check;
    pub use crate::violation::Path;

    /// The contract itself.
    pub const SPEC: &str = include_str!("../spec/botpress.yaml");
}

#[doc(inline)]
pub use api::types::{
    Conversation, Direction, ErrorType, Message, NewConversation, NewMessage, NewMessageOrigin,
    NewUser, Origin, Schedule, User,
};
pub use attempt::Stored;
pub use client::{Client, Deliver};
pub use config::Builder;
pub use delivery::{Delivery, Reference};
pub use error::{ApiError, ConfigError, Error, ErrorKind, ResponseError, TransportError};
pub use headers::RateLimit;
pub use record::GetOrCreate;
pub use retry::Retry;
pub use violation::{Rule, Violation};

// Their types are part of this API, so users need exactly these versions.
pub use {chrono, http, reqwest, serde_json};

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
