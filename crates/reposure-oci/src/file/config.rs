//! The configuration of an image that is made of a file.

use serde::Serialize;

use crate::{digest::Digest, manifest::Platform};

/// The time that stands for none: the same file must give the same image.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

#[derive(Serialize)]
struct Config<'a> {
    created: &'static str,
    architecture: &'a str,
    os: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    #[serde(rename = "config")]
    run: Run,
    rootfs: RootFs<'a>,
    history: [History<'a>; 1],
}

/// How a container is run: not at all.
#[derive(Serialize)]
struct Run {}

#[derive(Serialize)]
struct RootFs<'a> {
    r#type: &'static str,
    diff_ids: [&'a Digest; 1],
}

#[derive(Serialize)]
struct History<'a> {
    created: &'static str,
    created_by: &'static str,
    comment: &'a str,
}

/// Writes the configuration of an image whose one layer holds the file of this name.
pub(crate) fn write(name: &str, diff_id: &Digest, platform: &Platform) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Config {
        created: NO_TIME,
        architecture: &platform.architecture,
        os: &platform.os,
        variant: platform.variant.as_deref(),
        run: Run {},
        rootfs: RootFs { r#type: "layers", diff_ids: [diff_id] },
        history: [History { created: NO_TIME, created_by: "reposure", comment: name }],
    })
}
