//! `GET /status` on the status port: what the operator makes conditions of. Reason codes and times only, no secrets.

use serde::{Deserialize, Serialize};

/// A surrogate's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The build.
    pub build: String,
    /// The UID of the pod.
    pub pod_uid: String,
    /// The registry behind the surrogate.
    pub registry: Check,
    /// The keys by which tokens are checked.
    pub keys: Check,
    /// The certificate that the registry showed last, whether it was trusted or not; absent over plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// The connections to the API's port that were accepted since the start: a measure of how well clients keep theirs.
    #[serde(default)]
    pub connections: u64,
    /// The uploads that are open.
    #[serde(default)]
    pub open_uploads: usize,
}

/// When a certificate is good, RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// The first second.
    pub not_before: String,
    /// The last second.
    pub not_after: String,
}

/// Something that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What came of it.
    pub reason: Reason,
    /// When it was last tried, RFC 3339; absent if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// It works.
    Ok,
    /// It was not tried yet.
    Pending,
    /// The name cannot be resolved.
    NameUnknown,
    /// The connection is refused.
    ConnectionRefused,
    /// There is no answer in time.
    Timeout,
    /// The certificate is not trusted.
    CertificateUntrusted,
    /// The credentials are refused.
    Unauthorized,
    /// A mounted file is missing or malformed.
    CredentialsInvalid,
    /// It answers, but not as a registry does.
    NotARegistry,
    /// It answers with an error.
    ServerError,
    /// Something else.
    #[serde(other)]
    Failed,
}
