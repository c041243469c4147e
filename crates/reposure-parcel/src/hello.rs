//! `GET /reposure/v1/hello`: who answers, and what it can do.

use serde::{Deserialize, Serialize};

use crate::{kind::RegistryKind, limits, status::Certificate, wire::Right};

/// What a surrogate says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The oldest and the newest API version that it speaks.
    pub versions: (u32, u32),
    /// The build: a version, with a commit where one is known.
    pub build: String,
    /// The namespace of the `Registry`.
    pub namespace: String,
    /// The name of the `Registry`.
    pub registry: String,
    /// The UID of the surrogate's pod, to notice an address that another pod has now; empty outside of a cluster.
    pub pod_uid: String,
    /// What the caller's token lets it do.
    pub right: Right,
    /// The registry behind it.
    pub upstream: Upstream,
    /// What it bears.
    pub limits: Limits,
    /// What it can do beyond this version, by name; a client ignores what it does not know.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

impl Hello {
    /// Tells whether the surrogate names a capability.
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known == capability)
    }
}

/// The registry behind a surrogate, as last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// The registry's host and port, as pods name it.
    pub host: String,
    /// Whether it answered `GET /v2/` with 200, or took the credentials.
    pub reachable: bool,
    /// Why not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What it is known to be, where it has rules of its own: [`RegistryKind::as_str`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The certificate that it showed last, whether it was trusted or not; absent over plain HTTP, and of surrogates before 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

impl Upstream {
    /// Returns the kind of a registry with rules of its own, as far as this version knows it.
    pub fn registry_kind(&self) -> Option<RegistryKind> {
        self.kind.as_deref().and_then(RegistryKind::of)
    }
}

/// What a surrogate bears, in bytes unless named otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The chunk size that it suggests.
    pub chunk: u64,
    /// The largest chunk that it takes.
    pub largest_chunk: u64,
    /// What it buffers for all uploads together.
    pub upload_memory: u64,
    /// The number of uploads of large blobs that may be open at once.
    pub open_uploads: usize,
    /// The [places](limits::places) of uploads; 0 of surrogates before 0.3, where each upload counts alike.
    #[serde(default)]
    pub places: usize,
    /// The number of digests in one `exists`.
    pub exists_digests: usize,
}

impl Default for Limits {
    /// Returns what the surrogates of this version bear.
    fn default() -> Self {
        Self {
            chunk: limits::CHUNK,
            largest_chunk: limits::LARGEST_CHUNK,
            upload_memory: limits::UPLOAD_MEMORY,
            open_uploads: limits::OPEN_UPLOADS,
            places: limits::PLACES,
            exists_digests: limits::EXISTS_DIGESTS,
        }
    }
}
