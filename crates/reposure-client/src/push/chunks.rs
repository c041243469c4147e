//! The chunks of one blob: read in order, sent several at once, each inside the upload's window.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http::Method;
use reposure_oci::Blob;
use reposure_parcel::{
    problem::Code,
    ticket,
    upload::{Progress as UploadProgress, Range, Ticket, Window},
    wire,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    ChunkSize, Context, PushError,
    check::Check,
    parallelism::{Parallelism, Permit},
    resumption::Resumption,
};
use crate::{
    progress::{Event, Progress},
    retry::Backoff,
    session::{Session, SessionError},
};

/// How long one chunk is tried again, before the whole upload is taken for lost.
const CHUNK_PATIENCE: Duration = Duration::from_secs(30);
/// How often a chunk is cut off in a row, on a link that is there all the while, before it is sent in smaller ones: some links end
/// every connection after some MiB.
const CUTS: u32 = 3;
/// The pause between questions for credit, when no chunk is under way whose answer would bring some.
const CREDIT_PAUSE: Duration = Duration::from_millis(50);
/// How long an upload may get no credit though no chunk is under way: longer than any registry that the surrogate waits for.
const CREDIT_LIMIT: Duration = Duration::from_secs(600);

/// How long a ticket is used: it is refused once it is too old, after the bytes have been sent.
const TICKET_AGE: Duration = Duration::from_secs(ticket::AGE.as_secs() * 3 / 4);
/// How long an upload may be without an answer before the surrogate is asked whether it knows it.
const SILENCE: Duration = Duration::from_secs(5);

/// Why the chunks were not all received.
pub(super) enum ChunksError {
    /// The upload was lost on the way.
    Session {
        /// What happened.
        error: SessionError,
        /// How many bytes arrived.
        arrived: u64,
    },
    /// The push cannot succeed.
    Push(PushError),
}

impl From<PushError> for ChunksError {
    fn from(error: PushError) -> Self {
        Self::Push(error)
    }
}

/// What came of a body that was sent.
enum Sent {
    /// So many bytes of it are there, at least 1.
    Received(usize),
    /// It is longer than what the link takes at once.
    TooLong,
}

/// What the chunks of an upload share.
#[derive(Clone, Debug)]
struct Upload {
    session: Arc<Session>,
    progress: Progress,
    part: usize,
    path: Arc<str>,
    window: Arc<watch::Sender<Window>>,
    chunk_size: ChunkSize,
    chunks: Parallelism,
    resumption: Resumption,
    ticket: Option<Ticket>,
    opened: Instant,
}

/// Sends a blob's chunks. When all of them were read, the digest is right as far as it is known, and the last ones are on their way,
/// `commit` begins, whose question travels beside those that are `on_the_way`, where the surrogate bears that; returns its answer when each
/// chunk was received, too.
pub(super) async fn send<T>(
    context: &Context,
    part: usize,
    blob: &Arc<dyn Blob>,
    opened: UploadProgress,
    resumption: &Resumption,
    on_the_way: &AtomicBool,
    commit: impl Future<Output = Result<T, SessionError>> + Unpin,
) -> Result<T, ChunksError> {
    let upload = Upload {
        session: context.session.clone(),
        progress: context.progress.clone(),
        part,
        path: format!("{}/{}", wire::UPLOADS, opened.id).into(),
        window: Arc::new(watch::channel(opened.window).0),
        chunk_size: context.chunk_size.clone(),
        chunks: context.chunks.clone(),
        resumption: resumption.clone(),
        ticket: opened.ticket.filter(|_| context.session.round_trip() <= context.near),
        opened: Instant::now(),
    };
    tokio::select! {
        sent = send_all(context, &upload, blob, &opened.received, on_the_way, commit) => sent,
        // Chunks on their way to a pod that is gone are not answered by anybody.
        error = upload.lost() => Err(ChunksError::Session { error, arrived: 0 }),
    }
}

async fn send_all<T>(
    context: &Context,
    upload: &Upload,
    blob: &Arc<dyn Blob>,
    already: &[Range],
    on_the_way: &AtomicBool,
    mut commit: impl Future<Output = Result<T, SessionError>> + Unpin,
) -> Result<T, ChunksError> {
    let mut tasks = JoinSet::new();
    let mut arrived = 0;
    queue(context, upload, blob, already, &mut tasks, &mut arrived).await?;
    if !on_the_way.load(Ordering::Relaxed) {
        all_received(&mut tasks, &mut arrived).await?;
    }
    let committed = loop {
        tokio::select! {
            biased;
            // What the registry says of the blob is more than what became of a chunk of it.
            done = &mut commit => break done.map_err(|error| ChunksError::Session { error, arrived })?,
            Some(joined) = tasks.join_next() => received(joined, &mut arrived)?,
        }
        on_the_way.fetch_and(!tasks.is_empty(), Ordering::Relaxed);
    };
    all_received(&mut tasks, &mut arrived).await?;
    Ok(committed)
}

async fn all_received(
    tasks: &mut JoinSet<Result<u64, SessionError>>,
    arrived: &mut u64,
) -> Result<(), ChunksError> {
    while let Some(joined) = tasks.join_next().await {
        received(joined, arrived)?;
    }
    Ok(())
}

/// Reads the chunks that the surrogate lacks, and the others where they are checked here, and spawns their sending.
async fn queue(
    context: &Context,
    upload: &Upload,
    blob: &Arc<dyn Blob>,
    already: &[Range],
    tasks: &mut JoinSet<Result<u64, SessionError>>,
    arrived: &mut u64,
) -> Result<(), ChunksError> {
    let (size, mut check) = (blob.descriptor().size, Check::new(blob, &context.session));
    let mut start = 0;
    while start < size {
        let end = size.min(start.saturating_add(context.chunk_size.get()));
        let there = received_from(already, start, usize::try_from(end - start).unwrap_or(usize::MAX)) as u64;
        if there > 0 {
            upload.progress.send(Event::Advanced { part: upload.part, bytes: there });
        }
        if start + there < end {
            upload.credit(end, tasks, arrived).await?;
            let permit = context.chunks.acquire().await;
            let bytes = check.update(read(blob, start, end).await?).await?;
            // No more of it than is there, which fits.
            let rest = bytes.slice(usize::try_from(there).unwrap_or_default()..);
            tasks.spawn(upload.clone().put(start + there, rest, permit));
        } else if check.is_here() {
            check.update(read(blob, start, end).await?).await?;
        }
        start = end;
    }
    Ok(check.finish(blob)?)
}

pub(super) async fn read(blob: &Arc<dyn Blob>, start: u64, end: u64) -> Result<Bytes, PushError> {
    let length = usize::try_from(end - start).unwrap_or(usize::MAX);
    let bytes = blob.read_at(start, length).await;
    bytes.map_err(|source| PushError::Blob { digest: blob.descriptor().digest.clone(), source })
}

fn received(
    joined: Result<Result<u64, SessionError>, tokio::task::JoinError>,
    arrived: &mut u64,
) -> Result<(), ChunksError> {
    match joined {
        Ok(Ok(bytes)) => {
            *arrived += bytes;
            Ok(())
        }
        Ok(Err(error)) => Err(ChunksError::Session { error, arrived: *arrived }),
        Err(error) => Err(ChunksError::Push(PushError::Task(error))),
    }
}

impl Upload {
    /// Waits until the window reaches `end`.
    async fn credit(
        &self,
        end: u64,
        tasks: &mut JoinSet<Result<u64, SessionError>>,
        arrived: &mut u64,
    ) -> Result<(), ChunksError> {
        let mut idle = Instant::now();
        loop {
            if end <= reach(*self.window.borrow()) {
                return Ok(());
            }
            let lost = |error| ChunksError::Session { error, arrived: *arrived };
            match tasks.join_next().await {
                Some(joined) => {
                    received(joined, arrived)?;
                    idle = Instant::now();
                }
                None if idle.elapsed() >= CREDIT_LIMIT => {
                    let (path, waited) = (self.path.to_string(), CREDIT_LIMIT);
                    return Err(lost(SessionError::Timeout { path, waited }));
                }
                None => self.ask_for_credit().await.map_err(lost)?,
            }
        }
    }

    async fn ask_for_credit(&self) -> Result<(), SessionError> {
        sleep(CREDIT_PAUSE).await;
        self.state().await.map(drop)
    }

    /// Waits until the surrogate does not know the upload, as when it was replaced; asks only while nothing else is heard.
    async fn lost(&self) -> SessionError {
        let mut window = self.window.subscribe();
        loop {
            // The answer to a chunk moves the window.
            if timeout(SILENCE, window.changed()).await.is_ok() {
                continue;
            }
            match self.state().await {
                Err(error) if error.code() == Some(Code::NotFound) => return error,
                _ => {}
            }
        }
    }

    /// Asks how far the upload is.
    async fn state(&self) -> Result<UploadProgress, SessionError> {
        let state: UploadProgress =
            self.session.call::<()>(Method::GET, &self.path, None).await?.parse(&self.path)?;
        self.learn(&state);
        Ok(state)
    }

    /// Sends one chunk until it is received, and returns its length. The permit ends with it.
    async fn put(self, start: u64, mut bytes: Bytes, _permit: Permit) -> Result<u64, SessionError> {
        let length = bytes.len() as u64;
        let mut cuts = 0;
        while !bytes.is_empty() {
            // It may have become smaller since the chunk was read.
            let size = usize::try_from(self.chunk_size.get()).unwrap_or(usize::MAX).min(bytes.len());
            let offset = start + length - bytes.len() as u64;
            match self.put_piece(offset, &bytes.slice(..size), &mut cuts).await {
                Ok(Sent::Received(received)) => {
                    bytes.advance(received);
                    self.progress.send(Event::Advanced { part: self.part, bytes: received as u64 });
                }
                Ok(Sent::TooLong) => {}
                Err(error) if error.is_too_large() && self.chunk_size.refuse(size as u64) => {
                    self.progress.send(Event::Retrying { problem: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    }

    /// Returns the upload's ticket, as long as it holds for sure.
    fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref().filter(|_| self.opened.elapsed() < TICKET_AGE)
    }

    /// Sends one body until it is received, at least its beginning, or smaller ones are to be tried.
    async fn put_piece(&self, start: u64, bytes: &Bytes, cuts: &mut u32) -> Result<Sent, SessionError> {
        // From a first failure on: on a slow link that alone may take longer.
        let mut backoff = None;
        let path = format!("{}/{start}", self.path);
        loop {
            let began = Instant::now();
            let error = match self.session.put_chunk(&path, bytes, self.ticket()).await {
                Ok(answer) => {
                    self.measure(bytes.len() as u64, began.elapsed());
                    self.learn(&answer.parse::<UploadProgress>(&path)?);
                    return Ok(Sent::Received(bytes.len()));
                }
                Err(error) => error,
            };
            let backoff = backoff.get_or_insert_with(|| Backoff::new(CHUNK_PATIENCE));
            let state = self.state_after(error, backoff).await?;
            *cuts += 1;
            let received = received_from(&state.received, start, bytes.len());
            if received < bytes.len() && *cuts >= CUTS && self.chunk_size.refuse(bytes.len() as u64) {
                *cuts = 0;
                return Ok(if received > 0 { Sent::Received(received) } else { Sent::TooLong });
            }
            if received > 0 {
                return Ok(Sent::Received(received));
            }
        }
    }

    /// Asks how far the upload is until there is an answer: what does not answer a question would get the same chunk again and again.
    async fn state_after(
        &self,
        mut error: SessionError,
        backoff: &mut Backoff,
    ) -> Result<UploadProgress, SessionError> {
        loop {
            backoff.heed(error.retry_after());
            if !error.is_transient() || error.code().is_some() || !backoff.pause().await {
                return Err(error);
            }
            self.progress.send(Event::Retrying { problem: error.to_string() });
            match self.state().await {
                Ok(state) => return Ok(state),
                Err(again) => error = again,
            }
        }
    }

    fn measure(&self, length: u64, took: Duration) {
        self.chunks.measure(length, took, self.session.round_trip());
        self.chunk_size.measure(length, took);
    }

    /// Takes what the surrogate says of the upload, and its window if that reaches further than the one before: credit that was given
    /// stays given.
    fn learn(&self, state: &UploadProgress) {
        self.resumption.learn(state);
        let new = state.window;
        self.window.send_if_modified(|window| {
            let further = reach(new) > reach(*window);
            if further {
                *window = new;
            }
            further
        });
    }
}

/// Returns how many of `length` bytes from `start` on are there without a gap.
fn received_from(ranges: &[Range], start: u64, length: usize) -> usize {
    let found = ranges.iter().find(|range| range.start <= start && start < range.end);
    let there = found.map_or(0, |range| range.end - start);
    usize::try_from(there).unwrap_or(usize::MAX).min(length)
}

/// Returns the offset behind the last byte of a window.
const fn reach(window: Window) -> u64 {
    window.from.saturating_add(window.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_chunk_that_was_cut_counts() {
        let range = |start, end| Range { start, end };
        let ranges = [range(0, 10), range(20, 27), range(30, 100)];
        let received = |start| received_from(&ranges, start, 10);
        assert_eq!([0, 5, 10, 20, 30, 95, 100].map(received), [10, 5, 0, 7, 10, 5, 0]);
    }
}
