//! An upload that is open.

use std::fmt;

use http::{HeaderMap, HeaderName, header};

use super::{answer::text_of, error::Failure, location, range};
use crate::name::RepositoryName;

/// An upload that is open at the registry. It ends with the upload, or when the registry has forgotten it.
///
/// A clone is of the same upload, kept to give it up when sending to it fails.
#[derive(Clone)]
pub struct Session {
    repository: RepositoryName,
    /// Path and query; the query often holds the registry's own signed state.
    path: String,
    offset: u64,
    smallest_chunk: Option<u64>,
    /// Whether anything was sent, even if it was not acknowledged.
    pub(crate) touched: bool,
}

/// What came of mounting a blob.
#[derive(Debug)]
pub enum Mount {
    /// The repository has the blob.
    Mounted,
    /// It must be sent after all; the upload is open.
    Open(Session),
}

impl Session {
    /// Takes the first answer to an upload.
    pub(crate) fn new(
        repository: &RepositoryName,
        request: &str,
        headers: &HeaderMap,
    ) -> Result<Self, Failure> {
        const SMALLEST_CHUNK: HeaderName = HeaderName::from_static("oci-chunk-min-length");
        let smallest_chunk = text_of(headers, &SMALLEST_CHUNK).and_then(|text| text.trim().parse().ok());
        let (repository, path) = (repository.clone(), String::new());
        let mut session = Self { repository, path, offset: 0, smallest_chunk, touched: false };
        session.follow(request, headers)?;
        Ok(session)
    }

    /// Returns the repository.
    pub const fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// Returns how many bytes the registry has acknowledged.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the size in bytes that all chunks but the last must have at least, if the registry says so.
    pub const fn smallest_chunk(&self) -> Option<u64> {
        self.smallest_chunk
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Goes on where the answer to a request says; each answer may name another place.
    pub(crate) fn follow(&mut self, request: &str, headers: &HeaderMap) -> Result<(), Failure> {
        let value = text_of(headers, &header::LOCATION);
        let invalid = || Failure::Header { name: "location", value: value.map(Into::into) };
        let resolved = value.and_then(|value| location::resolve(request, value)).ok_or_else(invalid)?;
        if let Some(host) = resolved.host {
            return Err(Failure::ForeignLocation(host));
        }
        self.path = resolved.path;
        Ok(())
    }

    /// Takes the answer to bytes that were sent.
    pub(crate) fn advance(&mut self, request: &str, headers: &HeaderMap, sent: u64) -> Result<(), Failure> {
        let sent = self.offset + sent;
        // Without a header, the status is what there is.
        if let Some(received) = text_of(headers, &header::RANGE).and_then(range::received)
            && received != sent
            && !(received == 1 && sent == 0)
        {
            return Err(Failure::Received { sent, received });
        }
        self.offset = sent;
        self.follow(request, headers)
    }

    /// Takes the answer to a question after the status.
    pub(crate) fn recover(&mut self, request: &str, headers: &HeaderMap) -> Result<u64, Failure> {
        let value = text_of(headers, &header::RANGE);
        let invalid = || Failure::Header { name: "range", value: value.map(Into::into) };
        let received = value.and_then(range::received).ok_or_else(invalid)?;
        self.offset = match (received, self.touched) {
            (1, false) => 0,
            (1, true) => return Err(Failure::AmbiguousOffset),
            (received, _) => received,
        };
        if headers.contains_key(header::LOCATION) {
            self.follow(request, headers)?;
        }
        Ok(self.offset)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        let mut shown = formatter.debug_struct("Session");
        shown
            .field("repository", &self.repository)
            .field("path", &path)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
