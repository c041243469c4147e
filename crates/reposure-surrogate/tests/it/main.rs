//! The surrogate over real sockets, before a registry in memory.

mod api;
mod failures;
mod gateway;
mod harness;
mod tokens;
mod uploads;
