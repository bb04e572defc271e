//! The client as it is generated from `spec/botpress.yaml`, with no layer on top.
//!
//! [`Client::api`](crate::Client::api) returns one with the credentials and the timeout of a client. Its
//! methods make one attempt each: they check nothing, retry nothing, and do not wait for the rate limit.
//! They work for every operation of the spec.
//!
//! ```no_run
//! use botpress_messages::{Client, NewUser};
//!
//! # async fn example(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
//! let user = NewUser::new().tag("id", "U05BPU9V1KQ");
//! let response = client.api().get_or_create_user(&user).await?;
//! println!("{}: {}", response.status(), response.user.id);
//! # Ok(())
//! # }
//! ```
// The generator decides the style.
#![allow(missing_docs, unused_imports, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/api.rs"));
