//! Going on with what the registry has of a blob, of an upload that was lost with another surrogate.
//!
//! Distribution 3 keeps what has come of a request that is cut, and tells how much; 2.8 forgets it. What a registry says is not relied
//! on: it checks the digest of the whole in the end, and where that is wrong the blob is sent anew.

use reposure_oci::registry::Session;
use reposure_parcel::{problem::Problem, upload::Open};

use super::delivery;
use crate::{
    answer,
    upstream::{Client, refusal},
};

/// Returns the upload that is open at the registry, if the client names one of which the registry has some bytes.
///
/// # Errors
/// When the registry cannot be asked now, and may be later.
pub(super) async fn resume(registry: &Client, wish: &Open) -> Result<Option<Session>, Problem> {
    let (Some(place), Some(size), Some(_)) = (&wish.resume, wish.size, &wish.digest) else { return Ok(None) };
    let Some(mut session) = Session::reopen(&wish.repository, &place.0) else { return Ok(None) };
    match registry.settled_upload_status(&mut session).await {
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
