//! Whether a registry checks what it is sent.

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::{client::Client, code::ErrorCode};
use crate::{
    digest::Digest,
    name::RepositoryName,
    transport::{self, Transport},
};

/// From which size in bytes of a blob asking is quicker than checking: the two requests take as long as the digest of so much.
pub(crate) const WORTHWHILE: u64 = 8 << 20;

/// What is sent, under the digest of what is not.
const SENT: &[u8] = b"reposure asks whether this registry checks digests";
const NOT_SENT: &str = "reposure has found a registry that does not check digests";

/// What a registry has shown of itself: whether it refuses a blob that is not what its digest says.
///
/// The specification does not ask for it in so many words, and a blob that nobody checks does harm only when it is pulled. So
/// who pushes checks what it sends, unless the registry has proved that it does the same: one reading and one digest of each byte
/// are then enough.
#[derive(Debug, Default)]
pub(crate) struct Proof(OnceCell<bool>);

impl Proof {
    /// Tells whether the registry checks, and asks it the first time.
    ///
    /// # Cancel safety
    /// As [`Client::upload_monolithic`]; who asks next begins anew.
    pub(crate) async fn of<T: Transport>(&self, client: &Client<T>, repository: &RepositoryName) -> bool {
        *self.0.get_or_init(|| refuses_others(client, repository)).await
    }
}

/// Sends some bytes under the digest of others. Whatever is not plainly the expected refusal proves nothing.
async fn refuses_others<T: Transport>(client: &Client<T>, repository: &RepositoryName) -> bool {
    let (digest, size) = (Digest::sha256_of(NOT_SENT), SENT.len() as u64);
    let body = transport::full(Bytes::from_static(SENT));
    match client.upload_monolithic(repository, &digest, size, body).await {
        Err(error) if error.has_code(&ErrorCode::DigestInvalid) => true,
        Err(error) => {
            tracing::debug!(%error, cause = %error.failure, "the registry does not show that it checks digests");
            false
        }
        Ok(_) => {
            tracing::warn!(%repository, %digest, "the registry has stored other bytes under this digest than have it");
            false
        }
    }
}
