//! The plans, as those who apply them see them.

mod fresh;
mod hardened;
mod operator;
mod registry;
mod simple;
mod surrogate;
