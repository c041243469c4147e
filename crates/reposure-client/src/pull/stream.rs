//! One blob as a stream, verified before its end.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use reposure_oci::{Descriptor, RepositoryName, blob::Verifier};

use super::{PullError, PullOptions, ordered};
use crate::session::Session;

/// Streams a blob of a repository, fetched as ranges, several at once.
///
/// The stream ends with an error unless size and digest are those of `blob`.
pub fn stream_blob(
    session: &Arc<Session>,
    repository: &RepositoryName,
    blob: &Descriptor,
    options: PullOptions,
) -> impl Stream<Item = Result<Bytes, PullError>> + Send + use<> {
    let pieces = ordered::pieces(session, repository, std::slice::from_ref(blob), options);
    let mut verifier = Some(Verifier::new(blob));
    pieces.map(move |piece| {
        let piece = piece?;
        let checked = match verifier.as_mut() {
            Some(verifier) => verifier.update(&piece.bytes),
            None => Ok(()),
        };
        checked.map_err(PullError::Blob)?;
        if piece.last
            && let Some(verifier) = verifier.take()
        {
            verifier.finish().map_err(PullError::Blob)?;
        }
        Ok(piece.bytes)
    })
}
