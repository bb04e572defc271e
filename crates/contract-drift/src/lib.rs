//! Checks whether the client that a small, hand-written OpenAPI document describes still works against
//! the vendor's current document.
//!
//! [`check`] compares the operations of the hand-written document, [`Spec`], with the same
//! operations of the vendor's [`Document`]. The vendor's side has to allow every request that the
//! spec allows, and the spec has to allow every response that the vendor's side allows. If the schemas do not
//! prove this, it is a break. [`Code::TooComplex`] means that an operation was not compared.
//!
//! ```
//! use contract_drift::{Code, Document, Options, Spec, Verdict, check};
//!
//! let ours = Document::parse(
//!     r#"
//!     openapi: 3.0.3
//!     paths:
//!       /users:
//!         post:
//!           operationId: createUser
//!           requestBody:
//!             content:
//!               application/json:
//!                 schema:
//!                   type: object
//!                   additionalProperties: false
//!                   required: [name]
//!                   properties: { name: { type: string, maxLength: 200 } }
//!           responses:
//!             200: { content: { application/json: { schema: {} } } }
//!     "#,
//! )?;
//! let theirs = Document::parse(
//!     r#"
//!     openapi: 3.1.0
//!     paths:
//!       /users:
//!         post:
//!           requestBody:
//!             content:
//!               application/json:
//!                 schema:
//!                   type: object
//!                   properties: { name: { type: string, maxLength: 100 } }
//!           responses:
//!             200: { content: { application/json: { schema: { type: object } } } }
//!     "#,
//! )?;
//! let findings = check(&Spec::new(ours)?, &theirs, &Options::default());
//!
//! assert_eq!(findings.len(), 1);
//! assert_eq!((findings[0].verdict, findings[0].code), (Verdict::Break, Code::Bound));
//! assert_eq!(
//!     findings[0].to_string(),
//!     "BREAK createUser request.name: `maxLength` 100 is tighter [bound]",
//! );
//! # Ok::<(), contract_drift::Error>(())
//! ```
//!
//! [`pin`] brings the vendor's operations into a normal form, which does not depend on layout and
//! wording. With pinned versions in [`Options`], [`check`] also reports changes that break nothing.

mod agreement;
mod changes;
mod check;
mod circular;
mod client;
mod decimal;
mod error;
mod finding;
mod ignore;
mod locate;
mod need;
mod normal;
mod openapi_3_1;
mod parse;
mod pins;
mod role;
mod schema;
mod types;
mod url;

pub use check::{Options, Spec, check, check_pin, pin, pinned};
pub use client::Client;
pub use error::Error;
pub use finding::{Code, Finding, Location, Place, Verdict};
pub use ignore::Ignore;
pub use normal::{Document, Operation};
pub use pins::{Contracts, Doubt, Pin, Pins};
