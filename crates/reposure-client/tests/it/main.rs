//! Pushes and pulls over the channel `proxy`: a stand-in for the API server, a real surrogate, a registry in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod failures;
mod pull;
mod push;
mod support;
mod traps;
