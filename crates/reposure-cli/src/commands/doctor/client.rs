//! This program.

use reposure_parcel::wire;

use super::{check::Check, figures::Figures};

/// Says which version it is: whoever reports a bug need not be asked.
pub(super) fn examine() -> Check {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let (oldest, newest) = (wire::OLDEST_VERSION, wire::VERSION);
    let detail = format!("{VERSION}, speaks versions {oldest} to {newest}");
    Check::ok("client", detail).figures(Figures { version: Some(VERSION.into()), ..Figures::default() })
}
