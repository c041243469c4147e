//! An upload that is open.

use std::fmt;

use http::{HeaderMap, HeaderName, header, uri::PathAndQuery};

use super::{answer::text_of, error::Failure, location, range};
use crate::name::RepositoryName;

/// The longest place of an upload that is given to another process, in bytes: the state that Distribution keeps in it takes some
/// 1,200.
const PLACE: usize = 8 << 10;

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

    /// Returns where the upload is, for [`Self::reopen`] in another process; none where it is not among the uploads of its
    /// repository. Whoever knows it and may write to the registry may write to the upload.
    pub fn place(&self) -> Option<&str> {
        is_place(&self.repository, &self.path).then_some(self.path.as_str())
    }

    /// Takes an upload up that another process has left. What the registry has of it is not known before
    /// [`Client::upload_status`](super::Client::upload_status).
    ///
    /// `place` may come from anybody: it is taken for nothing but the path of an upload of `repository`.
    pub fn reopen(repository: &RepositoryName, place: &str) -> Option<Self> {
        is_place(repository, place).then(|| Self {
            repository: repository.clone(),
            path: place.into(),
            offset: 0,
            smallest_chunk: None,
            touched: true,
        })
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

/// Tells whether a path and query are those of one upload of the repository, whoever reads them.
fn is_place(repository: &RepositoryName, place: &str) -> bool {
    let (path, query) = place.split_once('?').unwrap_or((place, ""));
    let folder = format!("/v2/{repository}/blobs/uploads/");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=~".contains(&byte);
    let is_upload = |id: &str| !matches!(id, "" | "." | "..") && id.bytes().all(is_plain);
    place.len() <= PLACE
        && path.strip_prefix(&folder).is_some_and(is_upload)
        && query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && place.parse::<PathAndQuery>().is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_taken_up_at_its_place_and_nowhere_else() {
        let repository: RepositoryName = "some/app".parse().unwrap();
        let reopen = |place: &str| Session::reopen(&repository, place);
        let place = "/v2/some/app/blobs/uploads/0f-1_2.3?_state=aB%3D_-&x=y";
        assert_eq!(reopen(place).unwrap().place(), Some(place));
        let long = format!("/v2/some/app/blobs/uploads/1?{}", "x".repeat(PLACE));
        for forged in [
            "",
            "/",
            "/v2/some/app/blobs/uploads/",
            "/v2/some/app/blobs/uploads/..",
            "/v2/some/app/blobs/uploads/../../manifests/v1",
            "/v2/some/app/blobs/uploads/%2e%2e",
            "/v2/some/app/blobs/uploads/1/2",
            "/v2/some/app/blobs/uploads/1#x",
            "/v2/some/app/blobs/uploads/1?x#y",
            "/v2/some/app/blobs/uploads/1?x y",
            "/v2/some/app/blobs/uploads/1?x\r\ny",
            "/v2/other/app/blobs/uploads/1",
            "/v2/some/app/manifests/1",
            "//evil/v2/some/app/blobs/uploads/1",
            "http://evil/v2/some/app/blobs/uploads/1",
            "@evil/v2/some/app/blobs/uploads/1",
            &long,
        ] {
            assert!(reopen(forged).is_none(), "{forged}");
        }
    }
}
