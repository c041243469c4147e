//! What ended a try, and since when there was nothing but failures.

use tokio::time::Instant;

use crate::session::SessionError;

/// A failure, and when it began: what was tried again in vain is not waited for as long once more.
#[derive(Debug)]
pub(super) struct Lost {
    /// What happened last.
    pub(super) error: SessionError,
    /// When the way last was as it should be, as far as that is known.
    pub(super) since: Instant,
}

impl From<SessionError> for Lost {
    /// Takes what has just happened.
    fn from(error: SessionError) -> Self {
        Self { error, since: Instant::now() }
    }
}
