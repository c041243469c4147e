//! Listening: connections, their limits, and their end.

mod api;
mod connection;
mod listener;
mod status;

pub(crate) use api::answer as answer_api;
pub(crate) use connection::Protocol;
pub(crate) use listener::{ListenError, Listener};
pub(crate) use status::answer as answer_status;
