//! Blobs that are written where they belong in a file, as they come.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    time::Duration,
};

use http::StatusCode;
use reposure_oci::{Body, Descriptor, ImageName, sink::Record};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Extent, PullError, PullOptions,
    batch::Batch,
    began,
    check::{Blobs, Check},
    growth::{self, Growth},
    queue::Queue,
    range::Range,
};
use crate::{
    progress::{Event, Progress},
    retry::Backoff,
    session::{Session, Tickets, frame},
};

/// How much is written at once, in bytes: enough that the trip to a thread that may block does not show.
const WRITE: u64 = 1 << 20;

/// Where a blob goes.
#[derive(Clone, Debug)]
pub struct Place {
    /// The blob.
    pub blob: Descriptor,
    /// The file.
    pub file: Arc<File>,
    /// Where in the file its content starts, in bytes.
    pub start: u64,
    /// Whether what is written goes to the disk at once, so that little is left to be synced in the end.
    pub durable: bool,
    /// What is in the file already, which is verified and not fetched, and where to note what is written.
    pub record: Option<Arc<Record>>,
}

impl Place {
    /// Returns what is there of the blob already, by offsets in it.
    fn found(&self) -> Vec<Extent> {
        let Some(record) = &self.record else { return Vec::new() };
        let within = |offset: u64| offset.saturating_sub(self.start).min(self.blob.size);
        let found = record.found().into_iter().map(|range| within(range.start)..within(range.end));
        found.filter(|range| !range.is_empty()).collect()
    }
}

/// Fetches blobs of the repository of `name` into their places, several ranges at once, and verifies each.
///
/// # Errors
/// When a blob cannot be had or written, or is not what its descriptor says; [`PullError::Damaged`] where that may be due to what was
/// there at first. The places hold anything then, but for what was noted in their records.
///
/// # Cancel safety
/// Dropping the future ends every exchange; a write that has begun is completed.
pub async fn fetch_into(
    session: &Arc<Session>,
    name: &ImageName,
    places: Vec<Place>,
    options: PullOptions,
    progress: &Progress,
) -> Result<(), PullError> {
    // Nobody asks which blob is there before the last one is.
    let (finished, _) = mpsc::unbounded_channel();
    fetch_each(session, name, places, options, progress, finished).await
}

/// As [`fetch_into`], and sends the number of each place to `finished` as soon as its blob is there and verified.
///
/// # Errors
/// As [`fetch_into`], but the places whose numbers were sent hold their blobs.
///
/// # Cancel safety
/// As [`fetch_into`].
pub async fn fetch_each(
    session: &Arc<Session>,
    name: &ImageName,
    places: Vec<Place>,
    options: PullOptions,
    progress: &Progress,
    finished: mpsc::UnboundedSender<usize>,
) -> Result<(), PullError> {
    let blobs: Vec<Descriptor> = places.iter().map(|place| place.blob.clone()).collect();
    began(&blobs, progress);
    let found: Vec<Vec<Extent>> = places.iter().map(Place::found).collect();
    let (jobs, shortest) = options.flight(session);
    let tickets = session.tickets(&name.repository, &blobs, options.near).await.map(Arc::new);
    let checked = Arc::new(Blobs::new(&name.repository, &places));
    let (check, fetched) = Check::start(checked.clone(), progress, finished);
    let goes_on = found.iter().any(|found| !found.is_empty());
    let queue = Queue::new(&name.repository, blobs, &found);
    queue.share_among(jobs, options.lengths(shortest));
    for range in queue.found(&found) {
        progress.send(Event::Advanced { part: range.blob, bytes: range.length() });
        // It is listened to: the check ends with a sender.
        let _ = fetched.send(range);
    }
    let fetch = Fetch {
        session: session.clone(),
        tickets,
        queue: Arc::new(queue),
        places: places.into(),
        checked,
        progress: progress.clone(),
        patience: options.patience,
        came: Arc::default(),
    };
    // The check ends when the workers' senders are dropped.
    let fetching = fetch.all(jobs, options, fetched);
    let done = tokio::try_join!(fetching, check.done()).map(drop);
    done.map_err(|error| if goes_on { error.of_what_was_found() } else { error })
}

/// What the fetching of ranges needs.
#[derive(Clone)]
struct Fetch {
    session: Arc<Session>,
    tickets: Option<Arc<Tickets>>,
    queue: Arc<Queue>,
    places: Arc<[Place]>,
    checked: Arc<Blobs>,
    progress: Progress,
    patience: Duration,
    /// The bytes that came since that was looked at.
    came: Arc<AtomicU64>,
}

impl Fetch {
    /// Fetches everything, so many ranges at once, and more where that is quicker. The tasks end with the future.
    async fn all(self, jobs: usize, options: PullOptions, fetched: Sender<Range>) -> Result<(), PullError> {
        let (mut workers, mut growth) =
            (JoinSet::new(), Growth::new(jobs, options.most_at_once(&self.session, jobs)));
        let more = |workers: &mut JoinSet<_>, count| {
            (0..count).for_each(|_| drop(workers.spawn(self.clone().work(fetched.clone()))));
        };
        more(&mut workers, jobs);
        let mut periods = interval(growth::PERIOD);
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        periods.reset();
        loop {
            tokio::select! {
                done = workers.join_next() => match done {
                    Some(done) => done.map_err(PullError::Task)??,
                    None => return Ok(()),
                },
                _ = periods.tick() => {
                    let new = growth.more(self.came.swap(0, Ordering::Relaxed));
                    if new > 0 {
                        tracing::debug!(new, before = workers.len(), "more ranges in flight");
                        self.queue.share_among(workers.len() + new, options.lengths_of_many());
                        more(&mut workers, new);
                    }
                }
            }
        }
    }

    /// Fetches ranges until none is left, and tells the check of each.
    async fn work(self, fetched: Sender<Range>) -> Result<(), PullError> {
        let mut last = None;
        while let Some(range) = self.queue.take(last) {
            last = Some(range.blob);
            // Where the check has ended, its own result says why.
            let _ = fetched.send(self.run(range).await?);
        }
        Ok(())
    }

    /// Fetches a range, and goes on behind what came when the answer breaks off.
    async fn run(&self, range: Range) -> Result<Range, PullError> {
        let mut backoff = Backoff::new(self.patience);
        let mut left = range.clone();
        loop {
            if left.start == left.end {
                return Ok(range);
            }
            let (before, sent) = (left.start, Instant::now());
            let Err(error) = self.exchange(&mut left).await else { continue };
            if error.is_silence() {
                self.session.leave_idle(sent);
            }
            if let Some(tickets) = &self.tickets {
                tickets.close();
            }
            if left.start > before {
                backoff.progress();
            }
            backoff.heed(error.retry_after());
            if !error.is_transient() || !backoff.pause().await {
                return Err(error);
            }
            self.progress.send(Event::Retrying { problem: error.to_string() });
        }
    }

    /// Writes what one answer gives of the range, and takes that off `left`.
    async fn exchange(&self, left: &mut Range) -> Result<(), PullError> {
        let mut body = left.request(&self.session, self.tickets.as_deref()).await?;
        let mut batch = Batch::default();
        while left.start < left.end {
            let whole = self.fill(&mut batch, &mut body, left).await;
            let rest = batch.split_at_page(self.places[left.blob].start + left.start);
            // What came before a cut counts, but for less than a page of it.
            self.write(left, std::mem::replace(&mut batch, rest)).await?;
            whole?;
        }
        Ok(())
    }

    /// Reads until there are [`WRITE`] bytes, or all of the range.
    async fn fill(&self, batch: &mut Batch, body: &mut Body, left: &Range) -> Result<(), PullError> {
        let wanted = left.end - left.start;
        while batch.length() < wanted.min(WRITE) {
            match frame(body, left.path()).await {
                Ok(Some(bytes)) => {
                    self.came.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    batch.push(bytes);
                }
                Ok(None) => return Err(left.answer(StatusCode::PARTIAL_CONTENT, "it is too short")),
                Err(source) => return Err(left.failed(source)),
            }
        }
        if batch.length() <= wanted {
            return Ok(());
        }
        *batch = Batch::default();
        Err(left.answer(StatusCode::PARTIAL_CONTENT, "it is too long"))
    }

    async fn write(&self, left: &mut Range, batch: Batch) -> Result<(), PullError> {
        let (blob, start, checked) = (left.blob, left.start, self.checked.clone());
        let (file, at) = (self.places[blob].file.clone(), self.places[blob].start + start);
        let (length, record) = (batch.length(), self.places[blob].record.clone());
        let written = tokio::task::spawn_blocking(move || {
            batch.write_at(&file, at).map_err(PullError::Write)?;
            if let Some(record) = record {
                record.note(&(at..at + length));
            }
            // Only now: what is checked may be taken for whole.
            checked.written(blob, start, batch.pieces())
        });
        written.await.map_err(PullError::Task)??;
        left.start += length;
        self.progress.send(Event::Advanced { part: left.blob, bytes: length });
        Ok(())
    }
}
