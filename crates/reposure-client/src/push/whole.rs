//! A small blob in one request. What does not go that way goes as an upload, which finds what has arrived.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use reposure_oci::{Blob, Descriptor};
use reposure_parcel::{
    limits::PLACE,
    problem::Code,
    upload::{Progress as UploadProgress, Stored},
    whole,
};
use tokio::time::Instant;

use super::{Context, PushError, check::Check, chunks, lost::Lost, under_way::UnderWay, upload};
use crate::{progress::Event, session::SessionError};

/// Tells whether a blob fits into one request.
pub(super) fn is_small(context: &Context, blob: &Descriptor) -> bool {
    let is_known = context.session.hello().can(whole::CAPABILITY);
    let size = blob.size;
    is_known && size > 0 && size <= whole::LIMIT.min(context.chunk_size.of_single())
}

/// Brings a small blob into the registry, if that goes at once; else returns what happened on the way.
///
/// # Errors
/// When it cannot be read, or is corrupt, or the registry refuses it for good.
pub(super) async fn send(
    context: &Context,
    part: usize,
    blob: &Arc<dyn Blob>,
) -> Result<Result<Stored, Lost>, PushError> {
    let size = blob.descriptor().size;
    let _permit =
        if size <= PLACE { context.chunks.acquire_small().await } else { context.chunks.acquire().await };
    let bytes = chunks::read(blob, 0, size).await?;
    let mut check = Check::new(blob, &context.session);
    let bytes = check.update(bytes).await?;
    check.finish(blob)?;
    match put(context, blob, bytes).await {
        Ok(stored) => {
            context.progress.send(Event::Advanced { part, bytes: size });
            Ok(Ok(stored))
        }
        Err(Lost { error, .. }) if is_final(&error) => Err(context.refused(blob, error)),
        Err(lost) => {
            tracing::debug!(error = %lost.error, "a small blob goes as an upload");
            Ok(Err(lost))
        }
    }
}

/// Tells whether the registry would refuse the same bytes again: it has no room for them, or does not take them from us.
fn is_final(error: &SessionError) -> bool {
    let is_refusal = matches!(error.code(), Some(Code::UpstreamRefused | Code::UpstreamDenied));
    is_refusal && !error.is_transient()
}

async fn put(context: &Context, blob: &Arc<dyn Blob>, bytes: Bytes) -> Result<Stored, Lost> {
    let (path, began) = (whole::path(&context.repository, &blob.descriptor().digest), Instant::now());
    let answer = context.session.put(&path, bytes).await;
    let answer = answer.map_err(|error| Lost { error, since: began })?;
    if answer.status != StatusCode::ACCEPTED {
        return Ok(answer.parse(&path)?);
    }
    let progress: UploadProgress = answer.parse(&path)?;
    upload::commit(context, blob, &progress.id, &UnderWay::new(false)).await
}
