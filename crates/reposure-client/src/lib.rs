//! Channels to a Reposure surrogate, and push and pull over them.
//!
//! | module | holds |
//! |---|---|
//! | [`channel`] | [`Channel`](channel::Channel): one HTTP exchange with a surrogate, and the ways to it |
//! | [`token`] | the tokens that a request carries |
//! | [`session`] | [`Session`](session::Session): a channel, its token and the surrogate's hello; a registry transport |
//! | [`mod@push`], [`mod@pull`] | images into a registry and out of it |
//! | [`mod@verify`] | images that are read, and not stored |
//! | [`progress`] | events of a push or pull for whoever shows them |
//!
//! The library prints nothing and reads no environment.

pub mod channel;
pub mod progress;
pub mod pull;
pub mod push;
pub mod retry;
pub mod session;
mod text;
pub mod token;
pub mod verify;
