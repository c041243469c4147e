//! Listening: connections, their limits, and their end.

mod api;
mod connection;
mod listener;
mod metrics;
mod session;
pub(crate) mod status;

pub(crate) use api::{answer as answer_api, answer_embedded, answer_session};
pub(crate) use connection::Protocol;
pub(crate) use listener::{ListenError, Listener};
pub(crate) use metrics::Metrics;
pub(crate) use session::{SessionListener, SocketError, address as socket_address};
pub(crate) use status::answer as answer_status;
