//! Pulls an image or index out of the registry behind a surrogate.
//!
//! The manifests are read first; then the blobs come as ranges, several at once: into a file each goes where it belongs
//! ([`fetch_into`]), and for a pipe they are put in order ([`fetch_blobs`]).

mod batch;
mod check;
mod error;
mod growth;
mod ordered;
mod place;
mod queue;
mod range;
mod stream;
mod tree;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use reposure_oci::{Descriptor, ImageName};
use reposure_parcel::upload::How;

use crate::{
    progress::{Event, Progress},
    retry::PATIENCE,
    session::{self, Session},
};

pub use error::PullError;
pub use place::{Place, fetch_each, fetch_into};
pub use stream::stream_blob;
pub use tree::{AttachedTree, Tree, fetch_referrers, fetch_tree};

/// A part of a blob, by offsets in it.
type Extent = std::ops::Range<u64>;

/// How to pull.
#[derive(Clone, Copy, Debug)]
pub struct PullOptions {
    /// The ranges in flight, at least 1. By default they follow the link: five, and 16 over a long way; those that are written in place
    /// become up to 16 as well where that brings more.
    pub jobs: Option<usize>,
    /// The size of a range in bytes, at least 1; of the shortest one, where ranges are written in place.
    pub range: u64,
    /// The size of the longest range that is written in place, in bytes.
    pub longest_range: u64,
    /// How long a round trip takes at most on a link where it pays to read blobs without TLS, if the surrogate lets one; see
    /// [`reposure_parcel::ticket`].
    pub near: Duration,
    /// How long a range is tried again since it last got further: 120 s by default.
    pub patience: Duration,
}

impl Default for PullOptions {
    fn default() -> Self {
        // Each range costs Distribution a buffer of 4 MiB of its own, so longer ones are cheaper.
        Self { jobs: None, range: 8 << 20, longest_range: 64 << 20, near: session::FAR, patience: PATIENCE }
    }
}

impl PullOptions {
    /// The ranges in flight where it is near: 40 MiB to a pipe, which holds all of them in memory.
    pub const NEAR: usize = 5;
    /// The ranges in flight over a long way, where each connection waits for its answers and has a bandwidth of its own.
    const FAR: usize = 16;

    /// Returns how many ranges may be in flight over a session, which begins with so many: no more by a channel on which more share what
    /// there is.
    pub(crate) fn most_at_once(self, session: &Session, ranges: usize) -> usize {
        let are_apart = session.most_at_once() >= Self::NEAR;
        if self.jobs.is_none() && are_apart { Self::FAR } else { ranges }
    }

    /// Returns how many ranges are to be in flight over a session, with the length of the shortest ones.
    pub(crate) fn flight(self, session: &Session) -> (usize, u64) {
        match self.jobs {
            Some(jobs) => (jobs.max(1), self.range),
            None if session.round_trip() < session::FAR => {
                (Self::NEAR.min(session.most_at_once()), self.range)
            }
            None => (Self::FAR, *self.lengths_of_many().start()),
        }
    }

    /// Returns how long ranges are where as many as possible are in flight: no more is in memory than of a few.
    pub(crate) fn lengths_of_many(self) -> RangeInclusive<u64> {
        let shortest = (self.range / Self::FAR as u64).saturating_mul(Self::NEAR as u64).max(1);
        self.lengths(shortest)
    }

    /// Returns how long ranges are that are written in place, of which the shortest are so long.
    pub(crate) fn lengths(self, shortest: u64) -> RangeInclusive<u64> {
        shortest..=self.longest_range.max(shortest)
    }
}

/// A piece of a blob, in order.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The blob's number in the list that was asked for.
    pub blob: usize,
    /// Its next bytes.
    pub bytes: Bytes,
    /// Whether these are its last bytes.
    pub last: bool,
}

/// Where pieces go. Each call waits until the sink has taken them.
pub trait PieceSink: Send {
    /// What can go wrong in the sink.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Takes the next piece.
    ///
    /// # Errors
    /// When it cannot be written, or a blob is not what its descriptor says.
    fn take(&mut self, piece: Piece) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Fetches `blobs` of the repository of `name`, in order, into `sink`, which verifies size and digest of each.
///
/// # Errors
/// When a blob cannot be had, or the sink does not take it.
///
/// # Cancel safety
/// Dropping the future ends every exchange; what the sink has taken stays with it.
pub async fn fetch_blobs<S: PieceSink>(
    session: &Arc<Session>,
    name: &ImageName,
    blobs: &[Descriptor],
    options: PullOptions,
    progress: &Progress,
    sink: &mut S,
) -> Result<(), PullError> {
    began(blobs, progress);
    let mut pieces = std::pin::pin!(ordered::pieces(session, &name.repository, blobs, options));
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let (part, last) = (piece.blob, piece.last);
        progress.send(Event::Advanced { part, bytes: piece.bytes.len() as u64 });
        sink.take(piece).await.map_err(|source| PullError::Sink(source.into()))?;
        if last {
            progress.send(Event::Finished { part, how: How::Uploaded });
        }
    }
    Ok(())
}

/// Tells of the blobs that are to come.
pub(crate) fn began(blobs: &[Descriptor], progress: &Progress) {
    for (part, blob) in blobs.iter().enumerate() {
        let label = blob.digest.hex().chars().take(12).collect();
        progress.send(Event::Began { part, label, size: Some(blob.size) });
    }
}
