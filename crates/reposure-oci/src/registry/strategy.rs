//! In which form a registry is sent blobs.

use http::{Method, StatusCode};

use super::{
    call::Call,
    client::Client,
    error::Error,
    limits::ERROR_BODY,
    operation::{Action, Operation},
    session::Session,
};
use crate::{auth::Scopes, name::RepositoryName, transport::Transport};

/// The size of a chunk in bytes where nothing else is known: each costs a round trip and, on an object store, a part, of which
/// there may be 10,000.
pub const CHUNK: u64 = 16 << 20;

/// In which form a blob is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadStrategy {
    /// By one PUT with its length: what every registry takes. A cut costs all of the blob.
    Monolithic,
    /// By one PATCH without a length and a PUT without a body, as docker does.
    StreamPatch,
    /// By a PATCH for each chunk. A cut costs the chunk, or what is missing of it.
    Resumable {
        /// The size of a chunk in bytes; more where the registry wants more.
        chunk: u64,
    },
}

/// Registries that are known by their names to take no chunks, or not all of them.
const WITHOUT_CHUNKS: [&str; 6] =
    // ECR drops every chunk but the first, Artifact Registry has no chunks, GHCR takes at most 4 MiB in one.
    [".amazonaws.com", ".amazonaws.com.cn", ".pkg.dev", "gcr.io", ".gcr.io", "ghcr.io"];
/// Registries that are known by their names to take no body of more than some 20 MB: Azure's.
const WITHOUT_LARGE_BODIES: [&str; 3] = [".azurecr.io", ".azurecr.cn", ".azurecr.us"];

impl UploadStrategy {
    /// Returns what a registry takes that is known by its host (`host` or `host:port`).
    pub fn of_host(host: &str) -> Option<Self> {
        let name = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if WITHOUT_LARGE_BODIES.iter().any(|known| name.ends_with(known)) {
            return Some(Self::Resumable { chunk: CHUNK });
        }
        WITHOUT_CHUNKS.iter().any(|known| name.ends_with(known)).then_some(Self::Monolithic)
    }
}

impl<T: Transport> Client<T> {
    /// Returns what the registry takes, where it is known by its host.
    pub(crate) fn known_strategy(&self) -> Option<UploadStrategy> {
        self.transport().host().and_then(UploadStrategy::of_host)
    }

    /// Finds out in which form blobs are sent best, by opening an upload and giving it up.
    ///
    /// A registry that tells how far an upload is, without the state that it put into its place, can tell it after a cut too:
    /// Distribution from version 3, Zot, Gitea. Where it does not, as Distribution 2.8, a blob goes by one PUT.
    ///
    /// [`push`](crate::transfer::push) need not ask: it begins with one PUT, and asks about the very upload that was cut.
    ///
    /// # Errors
    /// When no upload can be opened.
    ///
    /// # Cancel safety
    /// As [`Self::upload_monolithic`].
    pub async fn detect_strategy(&self, repository: &RepositoryName) -> Result<UploadStrategy, Error> {
        let session = self.start_upload(repository).await?;
        let resumes = self.knows_without_state(&session).await;
        let chunk = CHUNK.max(session.smallest_chunk().unwrap_or(0));
        self.give_up(session).await;
        Ok(if resumes { UploadStrategy::Resumable { chunk } } else { UploadStrategy::Monolithic })
    }

    /// Tells whether the registry answers for an upload whose place has lost its query.
    async fn knows_without_state(&self, session: &Session) -> bool {
        let path = session.path().split('?').next().unwrap_or_default().to_owned();
        let operation = Operation::of(Action::UploadStatus, session.repository());
        let call = Call::new(operation, Method::GET, path)
            .scopes(Scopes::push(session.repository()))
            .expect(&[StatusCode::NO_CONTENT]);
        let answer = self.call(&call, ERROR_BODY).await;
        answer.is_ok_and(|answer| answer.headers().contains_key(http::header::RANGE))
    }

    /// Gives an upload up; one that cannot be is forgotten by the registry in time.
    pub(crate) async fn give_up(&self, session: Session) {
        if let Err(error) = self.cancel_upload(session).await {
            tracing::debug!(%error, cause = %error.failure, "an upload stays open");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_registries_are_known_by_name() {
        for host in ["1.dkr.ecr.eu-west-1.amazonaws.com", "europe-docker.pkg.dev", "eu.gcr.io", "GHCR.io:443"]
        {
            assert_eq!(UploadStrategy::of_host(host), Some(UploadStrategy::Monolithic), "{host}");
        }
        let azure = UploadStrategy::of_host("mine.azurecr.io");
        assert_eq!(azure, Some(UploadStrategy::Resumable { chunk: CHUNK }));
        assert_eq!(UploadStrategy::of_host("registry.example:5000"), None);
    }
}
