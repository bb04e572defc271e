//! What build.rs generates from the spec; `tests/snapshots/client.rs` shows it.
// Not all of it is used, and its style is the generator's.
#![allow(dead_code, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/client.rs"));
