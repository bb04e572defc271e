//! Where messages wait.

mod nats;

pub use nats::*;
