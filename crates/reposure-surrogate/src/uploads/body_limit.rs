//! The largest body that the registry, or what is before it, was seen to take, and in which form blobs go because of it.

use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use reposure_oci::registry::{Error, Failure};
use reposure_parcel::limits::CHUNK;

use super::pool::SEGMENT;

/// The length of pieces, in bytes, where nothing else is known but that there is a limit: what is set aside for each upload, and
/// as much as GHCR takes.
const LARGEST: u64 = CHUNK;
/// The shortest pieces that are tried, in bytes: a quarter of what nginx takes by default, and what bytes are kept in.
const SMALLEST: u64 = SEGMENT as u64;

/// In which form a blob goes to the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In one request.
    Whole,
    /// In requests of so many bytes each, but for the last.
    Pieces(u64),
}

/// What a registry does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// A body of this size, or of a size that is not said.
    Size,
    /// Pieces, if that is what it was sent.
    Pieces,
}

/// What is known of the registry. It holds for this process: a new one finds out anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// No body was too large yet.
    Nothing,
    /// Some body was; pieces of this length may go.
    Limit(u64),
    /// It takes no pieces, so what is too large for it cannot be helped.
    NoPieces,
}

/// The largest body that the registry was seen to take.
#[derive(Debug)]
pub(super) struct BodyLimit(Mutex<Known>);

impl BodyLimit {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Known::Nothing))
    }

    /// Returns the form for a blob of this size.
    pub(super) fn form(&self, size: Option<u64>) -> Form {
        // Nothing can panic while it is held.
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Known::Limit(piece) if size.is_none_or(|size| size > piece) => Form::Pieces(piece),
            _ => Form::Whole,
        }
    }

    /// Learns from an objection against a blob of `size` bytes, of which `taken` were taken; tells whether it may go in another
    /// form.
    pub(super) fn learn(&self, objection: Objection, tried: Form, size: Option<u64>, taken: u64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = match (objection, tried) {
            (Objection::Size, Form::Whole) => smaller(size.unwrap_or(u64::MAX)).map(Known::Limit),
            (Objection::Size, Form::Pieces(length)) if taken == 0 => {
                Some(smaller(length).map_or(Known::NoPieces, Known::Limit))
            }
            (Objection::Pieces, Form::Pieces(_)) => Some(Known::NoPieces),
            // What took such a piece before has nothing against its size: it may be the blob that is too large, or all of them.
            (Objection::Size, Form::Pieces(_)) | (Objection::Pieces, Form::Whole) => None,
        };
        let Some(new) = new else { return false };
        let before = *known;
        *known = before.and(new);
        if *known != before {
            tracing::info!(known = ?*known, "the registry, or a proxy before it, limits what is sent to it");
        }
        match objection {
            Objection::Size => matches!(*known, Known::Limit(_)),
            Objection::Pieces => true,
        }
    }
}

impl Known {
    /// Takes something new; of many refusals of one size only the first makes pieces shorter.
    fn and(self, new: Self) -> Self {
        match (self, new) {
            (Self::NoPieces, _) | (_, Self::NoPieces) => Self::NoPieces,
            (Self::Limit(old), Self::Limit(new)) => Self::Limit(old.min(new)),
            (Self::Nothing, new) | (new, Self::Nothing) => new,
        }
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
            // Artifact Registry answers 400.
            StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::NOT_IMPLEMENTED => Some(Self::Pieces),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: Option<u64> = Some(100 << 20);

    /// Tries a large blob in the form that it is to have, and tells whether to try again.
    fn refuse(limit: &BodyLimit) -> bool {
        limit.learn(Objection::Size, limit.form(LARGE), LARGE, 0)
    }

    #[test]
    fn blobs_go_whole_until_one_is_refused() {
        let limit = BodyLimit::new();
        assert_eq!((limit.form(LARGE), limit.form(None)), (Form::Whole, Form::Whole));
        assert!(refuse(&limit));
        assert_eq!((limit.form(LARGE), limit.form(None)), (Form::Pieces(LARGEST), Form::Pieces(LARGEST)));
        assert_eq!(limit.form(Some(LARGEST)), Form::Whole, "it is no larger than a piece");
    }

    #[test]
    fn pieces_are_halved_once_and_there_is_an_end() {
        let limit = BodyLimit::new();
        assert!(refuse(&limit));
        for _ in 0..3 {
            assert!(
                limit.learn(Objection::Size, Form::Whole, LARGE, 0),
                "it began before the first was refused"
            );
            assert!(limit.learn(Objection::Size, Form::Pieces(LARGEST), LARGE, 0));
        }
        assert_eq!(limit.form(LARGE), Form::Pieces(LARGEST / 2));
        assert_eq!((0..100).take_while(|_| refuse(&limit)).count(), 3);
        assert_eq!(limit.form(LARGE), Form::Whole, "pieces do not help");
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
        let limit = BodyLimit::new();
        assert!(refuse(&limit));
        assert!(!limit.learn(Objection::Size, limit.form(LARGE), LARGE, LARGEST));
        assert_eq!(limit.form(LARGE), Form::Pieces(LARGEST));
    }

    #[test]
    fn a_registry_without_pieces_is_sent_whole_blobs_again() {
        let limit = BodyLimit::new();
        assert!(!limit.learn(Objection::Pieces, Form::Whole, LARGE, 0));
        assert!(refuse(&limit));
        assert!(limit.learn(Objection::Pieces, limit.form(LARGE), LARGE, 0));
        assert_eq!(limit.form(LARGE), Form::Whole);
        assert!(!refuse(&limit), "there is no other form left");
    }
}
