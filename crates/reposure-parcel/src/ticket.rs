//! `POST /reposure/v1/tickets`: leave to read single blobs without TLS, and to send them.
//!
//! What goes to or comes from a registry by plain HTTP crosses the cluster's network in the clear between it and the surrogate. To encrypt
//! the same bytes once more on the way between there and the API server hides nothing, and takes an eighth of all that a pull costs. So
//! the port of the API takes `GET /v2/REPOSITORY/blobs/DIGEST` without TLS as well, if it carries a ticket in [`wire::TICKET_HEADER`]
//! instead of a token, which must not be seen. A ticket is for one blob and for [`AGE`], and gives nothing that its bytes do not.
//!
//! So are the chunks of an upload taken, by the ticket that was given when it was opened,
//! [`Progress::ticket`](crate::upload::Progress::ticket). Whoever sees it may spoil the upload, as he may on the rest of the way; its
//! digest says so.
//!
//! Where the registry itself is reached over TLS there are no tickets, and everything goes over TLS.
//!
//! [`wire::TICKET_HEADER`]: crate::wire::TICKET_HEADER

use std::time::Duration;

use reposure_oci::{Digest, RepositoryName};
use serde::{Deserialize, Serialize};

/// How a surrogate's hello names it.
pub const CAPABILITY: &str = "tickets";
/// How long a ticket holds: as long as a token.
pub const AGE: Duration = Duration::from_secs(600);

/// Asks for tickets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// The repository that holds the blobs.
    pub repository: RepositoryName,
    /// The blobs, at most [`crate::limits::EXISTS_DIGESTS`].
    pub digests: Vec<Digest>,
}

/// The answer, with status 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tickets {
    /// A ticket for each blob, in the order in which they were asked for.
    pub tickets: Vec<String>,
}
