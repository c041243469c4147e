//! `GET /reposure/v1/probe/N` and `PUT /reposure/v1/probe`: bytes that mean nothing, to time the way.
//!
//! `GET` answers with `N` bytes that nothing on the way can compress, `PUT` with 204 once the surrogate has read and thrown away a
//! body. Neither touches the registry.

use crate::{limits::LARGEST_CHUNK, wire};

/// How a surrogate's hello names it.
pub const CAPABILITY: &str = "probe";
/// The most bytes of one probe, either way: as many as a request has in any case.
pub const LIMIT: u64 = LARGEST_CHUNK;

/// Returns the path that answers with `length` bytes.
pub fn path(length: u64) -> String {
    format!("{}/{length}", wire::PROBE)
}
