//! `reposure version`

use anyhow::Result;
use reposure_parcel::wire;
use serde::Serialize;

use crate::{context::Context, output};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct About {
    version: &'static str,
    api_version: u32,
    platform: String,
}

pub(super) fn run(context: &Context) -> Result<()> {
    let about = About {
        version: env!("CARGO_PKG_VERSION"),
        api_version: wire::VERSION,
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    };
    output::fact(context.format(), &about, about.version)
}
