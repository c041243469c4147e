//! `/v2/…`: the registry's own API, with the registry's credentials added, and nothing else of the registry's host.

mod headers;
mod pass;
mod path;

pub(crate) use headers::strip;
pub(crate) use pass::{exchange, pass};
