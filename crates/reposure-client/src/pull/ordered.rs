//! The bytes of blobs, fetched as ranges, several at once, and given in order: for a pipe.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use http::StatusCode;
use reposure_oci::{Descriptor, RepositoryName};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Piece, PullError, PullOptions,
    range::{Range, ranges},
};
use crate::{
    retry::Backoff,
    session::{self, Session, Tickets},
};

/// Fetches blobs and gives their bytes in order; each range is fetched by a task of its own, that ends with the stream.
pub(super) fn pieces(
    session: &Arc<Session>,
    repository: &RepositoryName,
    blobs: &[Descriptor],
    options: PullOptions,
) -> impl Stream<Item = Result<Piece, PullError>> + use<> {
    let (session, repository, blobs) = (session.clone(), repository.clone(), blobs.to_vec());
    let (jobs, length) = options.flight(&session);
    let asking = async move {
        let tickets = session.tickets(&repository, &blobs, options.near).await.map(Arc::new);
        stream::iter(ranges(&repository, blobs, length))
            .map(move |range| piece(&session, tickets.clone(), range, options.patience))
    };
    asking.flatten_stream().buffered(jobs)
}

/// Fetches one range in a task, and makes a piece of it.
fn piece(
    session: &Arc<Session>,
    tickets: Option<Arc<Tickets>>,
    range: Range,
    patience: Duration,
) -> impl Future<Output = Result<Piece, PullError>> + use<> {
    let (blob, last) = (range.blob, range.is_last());
    let task = AbortOnDropHandle::new(tokio::spawn(fetch(session.clone(), tickets, range, patience)));
    async move { Ok(Piece { blob, bytes: task.await.map_err(PullError::Task)??, last }) }
}

/// Fetches one range, and again when the answer breaks off.
async fn fetch(
    session: Arc<Session>,
    tickets: Option<Arc<Tickets>>,
    range: Range,
    patience: Duration,
) -> Result<Bytes, PullError> {
    // From a first failure on: on a slow link that alone may take longer.
    let mut backoff = None;
    loop {
        if range.start == range.end {
            return Ok(Bytes::new());
        }
        let error = match exchange(&session, tickets.as_deref(), &range).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        if let Some(tickets) = &tickets {
            tickets.close();
        }
        let backoff = backoff.get_or_insert_with(|| Backoff::new(patience));
        backoff.heed(error.retry_after());
        if !error.is_transient() || !backoff.pause().await {
            return Err(error);
        }
    }
}

async fn exchange(session: &Session, tickets: Option<&Tickets>, range: &Range) -> Result<Bytes, PullError> {
    let body = range.request(session, tickets).await?;
    let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let bytes = session::collect(body, range.path(), length).await.map_err(|source| range.failed(source))?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(range.answer(StatusCode::PARTIAL_CONTENT, "it is too short"))
    }
}
