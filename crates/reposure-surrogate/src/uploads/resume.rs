//! Going on with what the registry has of a blob, of an upload that was lost with another surrogate.
//!
//! Distribution 3 keeps what has come of a request that is cut, and tells how much; 2.8 forgets it. What a registry says is not relied
//! on: it checks the digest of the whole in the end, and where that is wrong the blob is sent anew.

use std::time::Duration;

use reposure_oci::registry::Session;
use reposure_parcel::{problem::Problem, upload::Open};
use tokio::time::sleep;

use super::delivery;
use crate::{
    answer,
    upstream::{Client, refusal},
};

/// The pause between two questions. Of a request that was cut just now the registry may still be storing bytes: Distribution writes 4
/// MiB at a time.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is asked at most: within the silence that middle boxes bear.
const QUESTIONS: usize = 12;

/// Returns the upload that is open at the registry, if the client names one of which the registry has some bytes.
///
/// # Errors
/// When the registry cannot be asked now, and may be later.
pub(super) async fn resume(registry: &Client, wish: &Open) -> Result<Option<Session>, Problem> {
    let (Some(place), Some(size), Some(_)) = (&wish.resume, wish.size, &wish.digest) else { return Ok(None) };
    let Some(mut session) = Session::reopen(&wish.repository, &place.0) else { return Ok(None) };
    match settled(registry, &mut session).await {
        Ok(offset) if (1..=size).contains(&offset) => {
            tracing::info!(offset, size, "going on with what the registry has of an upload");
            Ok(Some(session))
        }
        Ok(_) => Ok(None),
        Err(error) if error.is_transient() => Err(refusal::of(&error)),
        Err(error) => {
            tracing::debug!(error = answer::chain(&error), "the registry does not go on with an upload");
            // Some know it still, though they do not tell how far it is.
            delivery::cancel(registry.clone(), session);
            Ok(None)
        }
    }
}

/// Asks how many bytes the registry has, until it says the same twice.
pub(super) async fn settled(
    registry: &Client,
    session: &mut Session,
) -> Result<u64, reposure_oci::registry::Error> {
    let mut before = registry.upload_status(session).await?;
    for _ in 1..QUESTIONS {
        sleep(PAUSE).await;
        let now = registry.upload_status(session).await?;
        if now == before {
            break;
        }
        before = now;
    }
    Ok(before)
}
