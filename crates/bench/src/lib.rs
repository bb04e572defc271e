//! The parts of the benchmark: a server, and the ways of calling it.

pub mod calls;
pub mod counting;
pub mod server;
