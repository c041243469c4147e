//! The bytes of blobs, fetched as ranges, several at once, and given in order.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::{Method, StatusCode, header};
use reposure_oci::{Descriptor, Digest, RepositoryName};
use tokio_util::task::AbortOnDropHandle;

use super::{Piece, PullError, PullOptions};
use crate::{
    retry::Backoff,
    session::{self, Session, SessionError},
};

/// How long a range is tried again, since it last got further.
const PATIENCE: Duration = Duration::from_secs(120);

/// A range to be fetched.
#[derive(Clone, Debug)]
struct Job {
    blob: usize,
    digest: Digest,
    path: Arc<str>,
    start: u64,
    end: u64,
    size: u64,
}

/// Fetches blobs and gives their bytes in order; each range is fetched by a task of its own, that ends with the stream.
pub(super) fn pieces(
    session: &Arc<Session>,
    repository: &RepositoryName,
    blobs: &[Descriptor],
    options: PullOptions,
) -> impl Stream<Item = Result<Piece, PullError>> + use<> {
    let range = options.range.max(1);
    let (session, repository, blobs) = (session.clone(), repository.clone(), blobs.to_vec());
    // Made as they are needed: a manifest may name any size.
    let jobs = blobs
        .into_iter()
        .enumerate()
        .flat_map(move |(blob, descriptor)| jobs(&repository, blob, &descriptor, range));
    stream::iter(jobs)
        .map(move |job| {
            let session = session.clone();
            let (blob, last) = (job.blob, job.end == job.size);
            let task = AbortOnDropHandle::new(tokio::spawn(fetch(session, job)));
            async move { Ok(Piece { blob, bytes: task.await.map_err(PullError::Task)??, last }) }
        })
        .buffered(options.jobs.max(1))
}

/// Cuts a blob into ranges; an empty one gets one empty range, so that its end is seen.
fn jobs(
    repository: &RepositoryName,
    blob: usize,
    descriptor: &Descriptor,
    range: u64,
) -> impl Iterator<Item = Job> + use<> {
    let path: Arc<str> = format!("/v2/{repository}/blobs/{}", descriptor.digest).into();
    let (digest, size) = (descriptor.digest.clone(), descriptor.size);
    (0..size.div_ceil(range).max(1)).map(move |number| {
        let start = number * range;
        let end = size.min(start.saturating_add(range));
        Job { blob, digest: digest.clone(), path: path.clone(), start, end, size }
    })
}

/// Fetches one range, and goes on behind what came when the answer breaks off.
async fn fetch(session: Arc<Session>, job: Job) -> Result<Bytes, PullError> {
    let mut backoff = Backoff::new(PATIENCE);
    loop {
        if job.start == job.end {
            return Ok(Bytes::new());
        }
        match exchange(&session, &job).await {
            Err(error) if error.is_transient() && backoff.pause().await => {}
            done => return done,
        }
    }
}

async fn exchange(session: &Session, job: &Job) -> Result<Bytes, PullError> {
    let failed = |source: SessionError| PullError::Range {
        digest: job.digest.clone(),
        start: job.start,
        end: job.end,
        source,
    };
    let mut request = session::request(Method::GET, &job.path, "", Bytes::new()).map_err(failed)?;
    if let Ok(value) = format!("bytes={}-{}", job.start, job.end - 1).parse() {
        request.headers_mut().insert(header::RANGE, value);
    }
    let response = session.send(request).await.map_err(failed)?;
    let status = response.status();
    let whole = job.start == 0 && job.end == job.size;
    let expected = format!("bytes {}-{}/", job.start, job.end - 1);
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    match status {
        StatusCode::PARTIAL_CONTENT if range.is_some_and(|range| range.starts_with(&expected)) => {}
        StatusCode::OK if whole => {}
        StatusCode::PARTIAL_CONTENT => return Err(job.answer(status, "it is another range")),
        StatusCode::OK => return Err(job.answer(status, "it gives no ranges")),
        _ => return Err(job.answer(status, "no range")),
    }
    let length = usize::try_from(job.end.saturating_sub(job.start)).unwrap_or(usize::MAX);
    let bytes = session::collect(response.into_body(), &job.path, length).await.map_err(failed)?;
    if bytes.len() == length { Ok(bytes) } else { Err(job.answer(status, "it is too short")) }
}

impl Job {
    fn answer(&self, status: StatusCode, message: &'static str) -> PullError {
        PullError::Answer { digest: self.digest.clone(), start: self.start, end: self.end, status, message }
    }
}
