//! The upload of one blob in chunks.
//!
//! `POST /reposure/v1/uploads` with [`Open`] gives [`Progress`] with status 201, or [`Stored`] with 200 if the blob is there.
//! `PUT /reposure/v1/uploads/ID/OFFSET` with a chunk, `GET /reposure/v1/uploads/ID`: [`Progress`] with 200.
//! `POST …/ID/commit` with [`Commit`]: [`Stored`] with 201, or [`Progress`] with 202: not there yet, ask again.
//! `POST …/ID/cancel`: 204.
//!
//! `GET …/ID` is held back until a whole chunk, or all that is left, fits into the window, for at most
//! [`crate::limits::SILENCE`]. A commit and a chunk may be repeated for [`crate::limits::RESULT_AGE`] after the upload is stored.
//! Of an upload that failed, the failure is told to whoever asks for it or sends to it, up to the first commit after it; then
//! the upload is not found, and begun again: with [`Open::resume`], from what the registry has of it, if it tells.
//!
//! # Guarantees
//! A chunk inside the window is never refused for want of memory. An acknowledged chunk is received, not stored: only
//! [`Stored`] says that the registry has the blob.

use std::fmt;

use reposure_oci::{Digest, RepositoryName};
use serde::{Deserialize, Serialize};

pub use reposure_oci::transfer::How;

/// Opens an upload, or joins the one of the same digest that is open in the same repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// The repository that is to hold the blob.
    pub repository: RepositoryName,
    /// The blob's digest, where it is known already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The blob's size in bytes, where it is known already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// A random key of the client's own, for an upload without a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Repositories that the blob may be mounted from, at most [`crate::limits::MOUNT_SOURCES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<RepositoryName>,
    /// Where the registry may have a part of the blob, as [`Progress::resume`] of an upload that was lost said. It is of use with
    /// digest and size alone; the upload begins with what the registry still has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// Where a registry keeps the part of a blob that it has, for [`Open::resume`] after the surrogate was lost. It means nothing to
/// clients.
///
/// `Debug` does not show it, since a registry may keep a signed state in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resume(pub String);

impl fmt::Debug for Resume {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Resume(..)")
    }
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The upload's identifier: letters and digits.
    pub id: String,
    /// The ranges that were received, in order, not touching each other.
    pub received: Vec<Range>,
    /// Where the client may send now.
    pub window: Window,
    /// What to open the upload with after the surrogate was lost, once the registry has begun to take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// Leave to send the chunks without TLS, in the answer to [`Open`] where it hides nothing; see [`crate::ticket`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
}

/// A ticket for the chunks of one upload. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub String);

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Ticket(..)")
    }
}

/// A range of bytes, from the first to the one behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The offset of the first byte.
    pub start: u64,
    /// The offset behind the last byte.
    pub end: u64,
}

/// The credit of an upload: a client sends only what lies wholly in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The offset of the first byte.
    pub from: u64,
    /// The number of bytes; 0 says: ask again a little later.
    pub bytes: u64,
}

/// How a hello says that a commit may come before the last bytes, which spares a round trip.
pub const EARLY_COMMIT: &str = "early-commit";

/// How a hello says that the registry has proved to refuse a blob whose bytes are not what its digest says: who pushes need not hash
/// them as well.
pub const CHECKED: &str = "checked";

/// Ends an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's size in bytes.
    pub size: u64,
    /// Whether some of its bytes may still be on their way, so that they are to be waited for: only for surrogates with
    /// [`EARLY_COMMIT`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
}

/// The registry has the blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// The digest that the registry named, or that its `HEAD` confirmed.
    pub digest: Digest,
    /// How it came there.
    pub how: How,
}
