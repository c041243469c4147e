//! Whether a registry checks what it is sent.

use std::{future::Future, pin::pin, sync::Arc};

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::{client::Client, code::ErrorCode, error::Error};
use crate::{
    digest::{Algorithm, Digest},
    name::RepositoryName,
    transport::{self, Transport},
};

/// From which size in bytes of a blob a registry is asked: the digest of less takes no longer than the questions.
const WORTHWHILE: u64 = 8 << 20;

/// What is sent, under the digest of what is not.
const SENT: &[u8] = b"reposure asks whether this registry checks digests";
const NOT_SENT: &str = "reposure has found a registry that does not check digests";

/// What a registry has shown of itself: whether it refuses a blob that is not what its digest says.
///
/// The specification does not ask for it in so many words, and a blob that nobody checks does harm only when it is pulled. So
/// who pushes checks what it sends, until the registry has proved that it does the same: one digest of each byte is then enough.
/// The question goes beside the first large blob, which does not wait for the answer.
#[derive(Clone, Debug, Default)]
pub struct Proof(Arc<OnceCell<bool>>);

impl Proof {
    /// Tells whether to ask for a blob. The question is of sha256: other algorithms may be taken on trust.
    pub fn is_worthwhile(digest: &Digest, size: u64) -> bool {
        size >= WORTHWHILE && digest.algorithm() == Algorithm::Sha256
    }

    /// Tells whether the registry has proved by now that it checks.
    pub fn is_given(&self) -> bool {
        self.0.get() == Some(&true)
    }

    /// Asks the registry beside what is sent, if there is a `proof` to be had that nobody has asked for, and as long as the sending takes;
    /// returns what became of that.
    ///
    /// # Cancel safety
    /// As that of `sending`; who asks next begins anew.
    pub async fn beside<T: Transport, R>(
        proof: Option<&Self>,
        client: &Client<T>,
        repository: &RepositoryName,
        sending: impl Future<Output = R>,
    ) -> R {
        let Some(proof) = proof else { return sending.await };
        let mut sending = pin!(sending);
        tokio::select! {
            sent = sending.as_mut() => return sent,
            () = proof.ask(client, repository) => {}
        }
        sending.await
    }

    async fn ask<T: Transport>(&self, client: &Client<T>, repository: &RepositoryName) {
        self.0.get_or_init(async || refuses_others(client, repository).await.unwrap_or(false)).await;
    }
}

/// Sends some bytes under the digest of others. Whatever is not plainly the expected refusal proves nothing.
async fn refuses_others<T: Transport>(
    client: &Client<T>,
    repository: &RepositoryName,
) -> Result<bool, Error> {
    let (digest, size) = (Digest::sha256_of(NOT_SENT), SENT.len() as u64);
    let session = client.start_upload(repository).await?;
    let body = transport::full(Bytes::from_static(SENT));
    if let Err(error) = client.finish_monolithic(session.clone(), &digest, size, body).await {
        tracing::debug!(%error, cause = %error.failure, "whether the registry checks digests");
        // Not every registry forgets an upload that it refuses.
        client.give_up(session).await;
        return Ok(error.has_code(&ErrorCode::DigestInvalid));
    }
    tracing::warn!(%repository, %digest, "the registry takes bytes under a digest that is not theirs");
    Ok(false)
}
