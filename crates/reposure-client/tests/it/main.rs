//! Pushes and pulls over each channel: a stand-in for the API server, a real surrogate, a registry in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cuts;
mod direct;
mod exec;
mod failures;
mod front;
mod port_forward;
mod pull;
mod push;
mod slow;
mod support;
mod tickets;
mod traps;
