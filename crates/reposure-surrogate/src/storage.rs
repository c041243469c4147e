//! Whether the registry can take a blob, for those who look for what fails.

use bytes::Bytes;
use http::StatusCode;
use reposure_oci::transport;
use reposure_parcel::{problem::Problem, storage::Storage};

use crate::{
    answer::{self, Answer},
    upstream::{Client, refusal},
};

/// How many bytes are sent: more than the blocks of file systems, so that a full one has no place for them.
const BYTES: usize = 64 << 10;

/// Opens an upload, sends some bytes to it, and gives it up, whatever came of them.
pub(crate) async fn probe(registry: &Client, wish: Storage) -> Result<Answer, Problem> {
    let session = registry.start_upload(&wish.repository).await.map_err(|error| refusal::of(&error))?;
    let bytes = transport::full(Bytes::from(vec![0; BYTES]));
    // Docker's own form, which every registry takes.
    let sent = registry.patch_stream(&mut session.clone(), bytes).await;
    if let Err(error) = registry.cancel_upload(session).await {
        // It forgets the upload in time.
        tracing::debug!(error = answer::chain(&error), "an upload stays open at the registry");
    }
    sent.map_err(|error| refusal::of(&error))?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}
