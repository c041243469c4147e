//! The chunks of one blob: read in order, sent several at once, each inside the upload's window.

use std::{sync::Arc, time::Duration};

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
    lost::Lost,
    parallelism::{Parallelism, Permit},
    resumption::Resumption,
    under_way::UnderWay,
};
use crate::{
    progress::{Event, Progress},
    retry::Backoff,
    session::{Session, SessionError},
};

/// How long one chunk is tried again at most, before the whole upload is taken for lost.
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
    Lost(Lost),
    /// The push cannot succeed.
    Push(PushError),
}

impl From<Lost> for ChunksError {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
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
    /// How long one chunk is tried again.
    patience: Duration,
    under_way: Arc<UnderWay>,
}

/// Sends a blob's chunks. When all of them were read, the digest is right as far as it is known, and the last ones are on their way,
/// `commit` begins, whose question travels beside those that are on their way, where the surrogate bears that; returns its answer when each
/// chunk was received, too. How many bytes arrive is counted as they do.
pub(super) async fn send<T>(
    context: &Context,
    part: usize,
    blob: &Arc<dyn Blob>,
    opened: UploadProgress,
    resumption: &Resumption,
    under_way: &Arc<UnderWay>,
    commit: impl Future<Output = Result<T, Lost>> + Unpin,
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
        patience: CHUNK_PATIENCE.min(context.patience),
        under_way: under_way.clone(),
    };
    tokio::select! {
        sent = send_all(context, &upload, blob, &opened.received, under_way, commit) => sent,
        // Chunks on their way to a pod that is gone are not answered by anybody.
        error = upload.lost() => Err(Lost::from(error).into()),
    }
}

async fn send_all<T>(
    context: &Context,
    upload: &Upload,
    blob: &Arc<dyn Blob>,
    already: &[Range],
    under_way: &UnderWay,
    mut commit: impl Future<Output = Result<T, Lost>> + Unpin,
) -> Result<T, ChunksError> {
    let mut tasks = JoinSet::new();
    queue(context, upload, blob, already, &mut tasks).await?;
    if !under_way.may_be_early() {
        all_received(&mut tasks).await?;
    }
    let committed = loop {
        tokio::select! {
            biased;
            // What the registry says of the blob is more than what became of a chunk of it.
            done = &mut commit => break done?,
            Some(joined) = tasks.join_next() => received(joined)?,
        }
        if tasks.is_empty() {
            under_way.all_received();
        }
    };
    all_received(&mut tasks).await?;
    Ok(committed)
}

async fn all_received(tasks: &mut JoinSet<Result<(), Lost>>) -> Result<(), ChunksError> {
    while let Some(joined) = tasks.join_next().await {
        received(joined)?;
    }
    Ok(())
}

/// Reads the chunks that the surrogate lacks, and the others where they are checked here, and spawns their sending.
async fn queue(
    context: &Context,
    upload: &Upload,
    blob: &Arc<dyn Blob>,
    already: &[Range],
    tasks: &mut JoinSet<Result<(), Lost>>,
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
            upload.credit(end, tasks).await?;
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

fn received(joined: Result<Result<(), Lost>, tokio::task::JoinError>) -> Result<(), ChunksError> {
    joined.map_err(PushError::Task)?.map_err(Into::into)
}

impl Upload {
    /// Waits until the window reaches `end`.
    async fn credit(&self, end: u64, tasks: &mut JoinSet<Result<(), Lost>>) -> Result<(), ChunksError> {
        let mut idle = Instant::now();
        loop {
            if end <= reach(*self.window.borrow()) {
                return Ok(());
            }
            match tasks.join_next().await {
                Some(joined) => {
                    received(joined)?;
                    idle = Instant::now();
                }
                None if idle.elapsed() >= CREDIT_LIMIT => {
                    let (path, waited) = (self.path.to_string(), CREDIT_LIMIT);
                    return Err(Lost::from(SessionError::Timeout { path, waited }).into());
                }
                None => self.ask_for_credit().await.map_err(Lost::from)?,
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

    /// Sends one chunk until it is received. The permit ends with it.
    async fn put(self, start: u64, mut bytes: Bytes, _permit: Permit) -> Result<(), Lost> {
        let length = bytes.len() as u64;
        let mut cuts = 0;
        while !bytes.is_empty() {
            // It may have become smaller since the chunk was read.
            let size = usize::try_from(self.chunk_size.get()).unwrap_or(usize::MAX).min(bytes.len());
            let offset = start + length - bytes.len() as u64;
            match self.put_piece(offset, &bytes.slice(..size), &mut cuts).await {
                Ok(Sent::Received(received)) => {
                    bytes.advance(received);
                    self.under_way.add(received as u64);
                    self.progress.send(Event::Advanced { part: self.part, bytes: received as u64 });
                }
                Ok(Sent::TooLong) => {}
                Err(Lost { error, .. }) if error.is_too_large() && self.chunk_size.refuse(size as u64) => {
                    self.progress.send(Event::Retrying { problem: error.to_string() });
                }
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }

    /// Returns the upload's ticket, as long as it holds for sure.
    fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref().filter(|_| self.opened.elapsed() < TICKET_AGE)
    }

    /// Sends one body until it is received, at least its beginning, or smaller ones are to be tried.
    async fn put_piece(&self, start: u64, bytes: &Bytes, cuts: &mut u32) -> Result<Sent, Lost> {
        // From a first failure on: on a slow link that alone may take longer.
        let mut backoff = None;
        let path = format!("{}/{start}", self.path);
        loop {
            let began = Instant::now();
            let error = match self.session.put_chunk(&path, bytes, self.ticket()).await {
                Ok(answer) => {
                    self.measure(bytes.len() as u64, began.elapsed());
                    self.learn(&answer.parse::<UploadProgress>(&path).map_err(Lost::from)?);
                    return Ok(Sent::Received(bytes.len()));
                }
                Err(error) => error,
            };
            let backoff = backoff.get_or_insert_with(|| Backoff::new(self.patience));
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
    ) -> Result<UploadProgress, Lost> {
        loop {
            backoff.heed(error.retry_after());
            if !error.is_transient() || error.code().is_some() {
                return Err(error.into());
            }
            if !backoff.pause().await {
                return Err(Lost { error, since: backoff.began() });
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
