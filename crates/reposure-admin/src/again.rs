//! Changes that somebody else may come before.

use crate::error::AdminError;

/// Makes a change that reads and then writes what it has read, at most so often while somebody else comes first.
///
/// # Errors
/// That of the last attempt, or one that is not of somebody else's doing.
pub(crate) async fn again<T>(
    attempts: usize,
    change: impl AsyncFn() -> Result<T, AdminError>,
) -> Result<T, AdminError> {
    for _ in 1..attempts {
        match change().await {
            // It was made, changed or deleted since it was read.
            Err(AdminError::Conflict { .. } | AdminError::NotFound { .. }) => {}
            done => return done,
        }
    }
    change().await
}
