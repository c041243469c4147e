//! In which form blobs go to the registry: as is wished, or as it is known to take them.

use reposure_oci::registry;
use reposure_parcel::{
    config::UploadStrategy,
    problem::{Code, Problem},
};

use super::body_limit::{BodyLimit, Objection};

/// In which form a blob goes to the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In one request with its length; where that or the digest is not known yet, as [`Form::Stream`].
    Whole,
    /// In one request without a length.
    Stream,
    /// In requests of so many bytes each, but for the last.
    Pieces(u64),
}

/// In which form blobs go to the registry.
#[derive(Debug)]
pub(crate) struct Forms {
    strategy: UploadStrategy,
    limit: BodyLimit,
}

impl Forms {
    /// Starts with what is known of the registry at `host`.
    pub(crate) fn new(strategy: UploadStrategy, host: &str) -> Self {
        let piece = match registry::UploadStrategy::of_host(host) {
            Some(registry::UploadStrategy::Resumable { chunk }) => Some(chunk),
            _ => None,
        };
        Self { strategy, limit: BodyLimit::new(piece) }
    }

    /// Checks that an upload can be in the form that is wished.
    pub(super) fn check(&self, is_known: bool) -> Result<(), Problem> {
        if is_known || self.strategy != UploadStrategy::Monolithic {
            return Ok(());
        }
        let message = "spec.upload is monolithic, so an upload needs its digest and size";
        Err(Problem::new(Code::BadRequest, message))
    }

    /// Returns the form for a blob of this size.
    pub(super) fn form(&self, size: Option<u64>) -> Form {
        match self.strategy {
            UploadStrategy::Monolithic => Form::Whole,
            UploadStrategy::Stream => Form::Stream,
            UploadStrategy::Chunked => Form::Pieces(self.limit.length().unwrap_or(registry::CHUNK)),
            UploadStrategy::Auto => {
                let piece = self.limit.piece().filter(|piece| size.is_none_or(|size| size > *piece));
                piece.map_or(Form::Whole, Form::Pieces)
            }
        }
    }

    /// Learns from an objection against a blob of `size` bytes, of which `taken` were taken; tells whether it may go all the same
    /// when it comes again.
    pub(super) fn learn(&self, objection: Objection, tried: Form, size: Option<u64>, taken: u64) -> bool {
        let may_go = self.limit.learn(objection, tried, size, taken);
        match self.strategy {
            UploadStrategy::Auto => may_go,
            // It may go in shorter pieces, but in nothing else.
            UploadStrategy::Chunked => may_go && self.limit.piece().is_some(),
            UploadStrategy::Monolithic | UploadStrategy::Stream => false,
        }
    }

    /// Says of an objection that the form is as it was wished.
    pub(super) fn explain(&self, problem: Problem) -> Problem {
        let wished = match self.strategy {
            UploadStrategy::Auto => return problem,
            UploadStrategy::Monolithic => "monolithic",
            UploadStrategy::Stream => "stream",
            UploadStrategy::Chunked => "chunked",
        };
        let message = format!("{}; spec.upload is {wished}, and other forms are not tried", problem.message);
        Problem { message, ..problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn form(strategy: UploadStrategy, host: &str, size: Option<u64>) -> Form {
        Forms::new(strategy, host).form(size)
    }

    #[test]
    fn blobs_go_as_is_wished() {
        for size in [Some(0), Some(100 * MIB), None] {
            assert_eq!(form(UploadStrategy::Auto, "registry.example", size), Form::Whole);
            assert_eq!(form(UploadStrategy::Monolithic, "mine.azurecr.io", size), Form::Whole);
            assert_eq!(form(UploadStrategy::Stream, "mine.azurecr.io", size), Form::Stream);
            assert_eq!(form(UploadStrategy::Chunked, "ghcr.io", size), Form::Pieces(16 * MIB));
        }
    }

    #[test]
    fn what_goes_in_one_request_needs_digest_and_size() {
        for (strategy, fits) in [(UploadStrategy::Auto, true), (UploadStrategy::Monolithic, false)] {
            let forms = Forms::new(strategy, "registry.example");
            assert_eq!((forms.check(false).is_ok(), forms.check(true)), (fits, Ok(())));
        }
    }

    #[test]
    fn azure_gets_large_blobs_in_pieces() {
        let azure = |size| form(UploadStrategy::Auto, "mine.azurecr.io", size);
        assert_eq!(azure(Some(16 * MIB)), Form::Whole);
        assert_eq!([azure(Some(16 * MIB + 1)), azure(None)], [Form::Pieces(16 * MIB); 2]);
    }

    #[test]
    fn no_other_form_is_tried_than_the_one_that_is_wished() {
        let size = Some(100 * MIB);
        for strategy in [UploadStrategy::Monolithic, UploadStrategy::Stream] {
            let forms = Forms::new(strategy, "registry.example");
            let tried = forms.form(size);
            assert!(!forms.learn(Objection::Size, tried, size, 0));
            assert_eq!(forms.form(size), tried);
        }
        let chunked = Forms::new(UploadStrategy::Chunked, "registry.example");
        assert!(chunked.learn(Objection::Size, chunked.form(size), size, 0));
        assert_eq!(chunked.form(size), Form::Pieces(4 * MIB));
        assert!(!chunked.learn(Objection::Pieces, chunked.form(size), size, 0));
        assert_eq!(chunked.form(size), Form::Pieces(4 * MIB));
    }
}
