//! The surrogate over real sockets, before a registry in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod after;
mod api;
mod body_limit;
mod failures;
mod forms;
mod gate;
mod gateway;
mod harbor;
mod harness;
mod openshift;
mod registry_tokens;
mod resume;
mod resume_real;
mod sessions;
mod tickets;
mod tokens;
mod uploads;
