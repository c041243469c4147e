//! The largest body that the registry, or what is before it, was seen to take.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::StatusCode;
use reposure_oci::registry::{Error, Failure};
use reposure_parcel::limits::CHUNK;

use super::{form::Form, pool::SEGMENT};

/// The length of pieces, in bytes, where nothing else is known but that there is a limit: what is set aside for each upload, and
/// as much as GHCR takes.
const LARGEST: u64 = CHUNK;
/// The shortest pieces that are tried, in bytes: a quarter of what nginx takes by default, and what bytes are kept in.
const SMALLEST: u64 = SEGMENT as u64;
/// How long no pieces are sent to a registry that has refused one. What it refused may have been something else, and whoever pushes
/// again after an error has waited about as long; to find out again costs a piece or two.
const WITHOUT_PIECES: Duration = Duration::from_secs(60);

/// What a registry does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// A body of this size, or of a size that is not said.
    Size,
    /// A piece of this length, or any.
    Range,
    /// Pieces, if that is what it was sent.
    Pieces,
}

/// The largest body that the registry was seen to take. It holds for this process: a new one finds out anew.
#[derive(Debug)]
pub(super) struct BodyLimit(Mutex<Known>);

/// What is known of the registry.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Some body was too large; pieces of this length may go.
    limit: Option<u64>,
    /// When it refused pieces.
    refused: Option<Instant>,
}

impl BodyLimit {
    /// Starts with the length of pieces, in bytes, if the registry is known to want some.
    pub(super) const fn new(piece: Option<u64>) -> Self {
        Self(Mutex::new(Known { limit: piece, refused: None }))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the length of pieces, in bytes, if larger bodies are known to be refused.
    pub(super) fn length(&self) -> Option<u64> {
        self.lock().limit
    }

    /// As [`Self::length`], if pieces are not known to be refused too.
    pub(super) fn piece(&self) -> Option<u64> {
        self.lock().piece(Instant::now())
    }

    /// Learns from an objection against a blob of `size` bytes, of which `taken` were taken; tells whether it may go in another
    /// form, or in the same one when it comes again.
    pub(super) fn learn(&self, objection: Objection, tried: Form, size: Option<u64>, taken: u64) -> bool {
        self.learn_at(Instant::now(), objection, tried, size, taken)
    }

    fn learn_at(
        &self,
        now: Instant,
        objection: Objection,
        tried: Form,
        size: Option<u64>,
        taken: u64,
    ) -> bool {
        let mut known = self.lock();
        let before = *known;
        let may_go = match (objection, tried) {
            (Objection::Size, Form::Whole | Form::Stream) => known.shorten(size.unwrap_or(u64::MAX), now),
            (Objection::Size, Form::Pieces(length)) if taken == 0 => known.shorten_pieces(length, now),
            (Objection::Range, Form::Pieces(length)) if taken == 0 && length > LARGEST => {
                known.shorten_pieces(length, now)
            }
            // What took some pieces has nothing against pieces; it may have lost the upload.
            (Objection::Range | Objection::Pieces, Form::Pieces(length)) => {
                known.refused = if taken > length { known.refused } else { Some(now) };
                true
            }
            // What took such a piece before has nothing against its size: it may be the blob that is too large, or all of them.
            (Objection::Size, Form::Pieces(_)) | (_, Form::Whole | Form::Stream) => false,
        };
        if (known.limit, known.refused) != (before.limit, before.refused) {
            let (limit, pieces) = (known.limit, known.refused.is_none());
            tracing::info!(limit, pieces, "the registry, or a proxy before it, limits what is sent to it");
        }
        may_go
    }
}

impl Known {
    fn piece(&self, now: Instant) -> Option<u64> {
        let is_refused = |refused| now.saturating_duration_since(refused) < WITHOUT_PIECES;
        self.limit.filter(|_| !self.refused.is_some_and(is_refused))
    }

    /// Notes that a body of `length` bytes was too large, and tells whether pieces may go; of many refusals of one size only the
    /// first makes pieces shorter.
    fn shorten(&mut self, length: u64, now: Instant) -> bool {
        let Some(piece) = smaller(length) else { return false };
        self.limit = Some(self.limit.map_or(piece, |limit| limit.min(piece)));
        self.piece(now).is_some()
    }

    /// As [`Self::shorten`], of a piece: what takes not even the shortest is helped by none.
    fn shorten_pieces(&mut self, length: u64, now: Instant) -> bool {
        if smaller(length).is_none() {
            self.refused = Some(now);
        }
        self.shorten(length, now)
    }
}

/// Returns what is tried where a body of `length` bytes was too large: half of it, as a power of two. The bytes of an upload are
/// taken in segments, and a piece must not end within one.
fn smaller(length: u64) -> Option<u64> {
    let half = (length / 2).checked_ilog2().map_or(0, |power| 1 << power);
    (length > SMALLEST).then(|| half.clamp(SMALLEST, LARGEST))
}

impl Objection {
    /// Returns what a failure to send bytes says against the form in which they went.
    pub(super) fn of(error: &Error) -> Option<Self> {
        // ECR answers a piece by saying that it has only the first one.
        if matches!(*error.failure, Failure::Received { .. }) {
            return Some(Self::Pieces);
        }
        match error.status()? {
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::LENGTH_REQUIRED => Some(Self::Size),
            // GHCR, of a piece of more than 4 MiB.
            StatusCode::RANGE_NOT_SATISFIABLE => Some(Self::Range),
            // Artifact Registry answers 400.
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Some(Self::Pieces)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: Option<u64> = Some(100 << 20);

    /// Returns the form of a large blob, as [`super::super::form::Forms`] chooses it.
    fn form(limit: &BodyLimit) -> Form {
        limit.piece().map_or(Form::Whole, Form::Pieces)
    }

    /// Tries a large blob in the form that it is to have, and tells whether to try again.
    fn refuse(limit: &BodyLimit) -> bool {
        limit.learn(Objection::Size, form(limit), LARGE, 0)
    }

    #[test]
    fn blobs_go_whole_until_one_is_refused() {
        let limit = BodyLimit::new(None);
        assert_eq!(limit.piece(), None);
        assert!(refuse(&limit));
        assert_eq!(limit.piece(), Some(LARGEST));
    }

    #[test]
    fn pieces_are_halved_once_and_there_is_an_end() {
        let limit = BodyLimit::new(None);
        assert!(refuse(&limit));
        for _ in 0..3 {
            assert!(
                limit.learn(Objection::Size, Form::Whole, LARGE, 0),
                "it began before the first was refused"
            );
            assert!(limit.learn(Objection::Size, Form::Pieces(LARGEST), LARGE, 0));
        }
        assert_eq!(limit.piece(), Some(LARGEST / 2));
        assert_eq!((0..100).take_while(|_| refuse(&limit)).count(), 3);
        assert_eq!((limit.piece(), limit.length()), (None, Some(SMALLEST)), "pieces do not help");
        assert!(!refuse(&limit));
    }

    #[test]
    fn a_piece_is_shorter_than_what_was_refused() {
        for (refused, piece) in [
            (SMALLEST, None),
            (SMALLEST + 1, Some(SMALLEST)),
            (3 << 20, Some(1 << 20)),
            (8 << 20, Some(4 << 20)),
            (u64::MAX, Some(LARGEST)),
        ] {
            assert_eq!(smaller(refused), piece, "{refused}");
            assert!(piece.is_none_or(|piece| piece % SEGMENT as u64 == 0));
        }
    }

    #[test]
    fn a_blob_that_is_too_large_makes_no_piece_shorter() {
        let limit = BodyLimit::new(None);
        assert!(refuse(&limit));
        assert!(!limit.learn(Objection::Size, form(&limit), LARGE, LARGEST));
        assert_eq!(limit.piece(), Some(LARGEST));
    }

    #[test]
    fn a_registry_without_pieces_is_sent_whole_blobs_again_for_a_time() {
        let (limit, begin) = (BodyLimit::new(None), Instant::now());
        assert!(!limit.learn(Objection::Pieces, Form::Whole, LARGE, 0));
        assert!(refuse(&limit));
        // ECR has taken one piece by then.
        assert!(limit.learn_at(begin, Objection::Pieces, form(&limit), LARGE, LARGEST));
        assert_eq!(limit.lock().piece(begin), None);
        let whole = |now| limit.learn_at(now, Objection::Size, Form::Whole, LARGE, 0);
        assert!(!whole(begin), "there is no other form left");
        let later = begin + WITHOUT_PIECES;
        assert_eq!(limit.lock().piece(later), Some(LARGEST));
        assert!(whole(later));
    }

    #[test]
    fn an_odd_answer_in_the_middle_of_a_blob_says_nothing_of_pieces() {
        let limit = BodyLimit::new(Some(LARGEST));
        for objection in [Objection::Pieces, Objection::Range] {
            assert!(limit.learn(objection, form(&limit), LARGE, 2 * LARGEST), "it is sent again");
            assert_eq!(limit.piece(), Some(LARGEST));
        }
    }

    #[test]
    fn a_long_piece_that_is_out_of_range_is_made_shorter_first() {
        let limit = BodyLimit::new(Some(4 * LARGEST));
        assert!(limit.learn(Objection::Range, form(&limit), LARGE, 0));
        assert_eq!(limit.piece(), Some(LARGEST));
        assert!(limit.learn(Objection::Range, form(&limit), LARGE, 0));
        assert_eq!(limit.piece(), None);
    }
}
