//! The plans, as those who apply them see them.
#![expect(clippy::unwrap_used, reason = "a helper of tests may fail as a test does")]

mod chart;
mod fresh;
mod hardened;
mod operator;
mod policies;
mod registry;
mod simple;
mod surrogate;
