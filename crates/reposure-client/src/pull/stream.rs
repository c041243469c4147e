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
    let (repository, digest) = (repository.clone(), blob.digest.clone());
    let wrong = move |source| PullError::of_bytes(&repository, &digest, source);
    pieces.map(move |piece| {
        let piece = piece?;
        let checked = match verifier.as_mut() {
            Some(verifier) => verifier.update(&piece.bytes),
            None => Ok(()),
        };
        checked.map_err(&wrong)?;
        if piece.last
            && let Some(verifier) = verifier.take()
        {
            verifier.finish().map_err(&wrong)?;
        }
        Ok(piece.bytes)
    })
}
