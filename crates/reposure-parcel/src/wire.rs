//! Paths, header names and versions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The newest version of the API that is spoken here.
pub const VERSION: u32 = 1;
/// The oldest version of the API that is spoken here.
pub const OLDEST_VERSION: u32 = 1;

/// Carries the surrogate's newest API version on each of its answers; an answer without it is the API server's own.
pub const VERSION_HEADER: &str = "reposure-version";
/// Carries the ServiceAccount token with a request; the API server strips `Authorization`.
pub const TOKEN_HEADER: &str = "reposure-token";
/// Carries the ticket with a request for a blob that goes without TLS, instead of a token.
pub const TICKET_HEADER: &str = "reposure-ticket";
/// Says, with any value, that the client understands 202 and `/reposure/v1/results/ID` as an answer to a gateway request.
pub const ASYNC_HEADER: &str = "reposure-async";
/// Carries the status that the registry gave, on an answer of the surrogate's own that is due to it.
pub const UPSTREAM_STATUS_HEADER: &str = "reposure-upstream-status";

/// Marks, with any value, an answer whose body is a [`crate::problem::Problem`] of the surrogate's own: a registry's 404 is none.
pub const PROBLEM_HEADER: &str = "reposure-problem";
/// Names the result of a 202 that says *ask again at [`RESULTS`]*; a registry's own 202 (of a delete, of an upload) has none.
pub const RESULT_HEADER: &str = "reposure-result";
/// Carries the `Content-Length` of a registry's answer to `HEAD` on a late answer that is fetched by `GET`.
pub const LENGTH_HEADER: &str = "reposure-content-length";

/// The path of [`crate::hello::Hello`].
pub const HELLO: &str = "/reposure/v1/hello";
/// The path of [`crate::exists::Exists`].
pub const EXISTS: &str = "/reposure/v1/exists";
/// The path of [`crate::upload::Open`], and the prefix of an upload's own paths.
pub const UPLOADS: &str = "/reposure/v1/uploads";
/// The prefix of the paths of [`crate::whole`].
pub const BLOBS: &str = "/reposure/v1/blobs";
/// The path of [`crate::probe`], and the prefix of its lengths.
pub const PROBE: &str = "/reposure/v1/probe";
/// The path of [`crate::ticket`].
pub const TICKETS: &str = "/reposure/v1/tickets";
/// The path of [`crate::storage::Storage`].
pub const STORAGE: &str = "/reposure/v1/storage";
/// The prefix of late answers.
pub const RESULTS: &str = "/reposure/v1/results";
/// The path of [`crate::status::Status`], on the status port.
pub const STATUS: &str = "/status";
/// The path that is 200 as long as the surrogate runs, on the status port.
pub const ALIVE: &str = "/alive";
/// The path of what Prometheus may know, on the status port.
pub const METRICS: &str = "/metrics";

/// The port of the API: private GKE clusters open only 443 and 10250 from the control plane to pods.
pub const PORT: u16 = 10250;
/// The port of `GET /status`, without a token.
pub const STATUS_PORT: u16 = 10251;

/// How a hello says that the port takes HTTP without TLS too from the surrogate's own network namespace: from a forwarded port, which is
/// encrypted up to the node.
pub const PLAIN: &str = "plain";

/// What a token lets its bearer do. Each right holds the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Read.
    Pull,
    /// Write, without deleting.
    Push,
    /// Delete.
    Admin,
}

impl Right {
    /// Every right, the least first.
    pub const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Admin];

    /// Returns the right's name, which is also the suffix of its ServiceAccount.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Returns the audience of the tokens for the registry `namespace`/`name`.
pub fn audience(namespace: &str, name: &str) -> String {
    format!("reposure.puccini.cloud/{namespace}/{name}")
}
