//! A small blob in one request.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use reposure_oci::{Body, Digest, RepositoryName};
use reposure_parcel::{
    limits::COMMIT_TICK,
    problem::{Code, Problem},
    upload::{Commit, Open},
    whole::LIMIT,
};
use tokio::time::timeout;

use super::{Uploads, open::Opened};
use crate::{
    answer::{self, Answer},
    body,
};

impl Uploads {
    /// Answers a blob that comes whole: opens an upload, takes the bytes as its only chunk, and commits it.
    ///
    /// # Cancel safety
    /// As with a chunk, what was read stays received.
    pub(crate) async fn whole(
        self: &Arc<Self>,
        repository: RepositoryName,
        digest: Digest,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Answer, Problem> {
        let opened = match size(headers) {
            Ok(size) => self.open_in_time(repository, &digest, size).await.map(|opened| (opened, size)),
            Err(problem) => Err(problem),
        };
        match opened {
            Ok((Opened::Upload(upload), size)) => {
                // It takes the credit that others ask for, and a chunk is always reserved.
                upload.progress();
                self.chunk(&upload.id, 0, headers, body).await?;
                self.commit(&upload.id, &Commit { digest, size, early: false }).await
            }
            Ok((Opened::Stored(stored), _)) => {
                body::drain(headers, body);
                Ok(answer::json(StatusCode::OK, &stored))
            }
            Err(problem) => {
                body::drain(headers, body);
                Err(problem)
            }
        }
    }

    /// Opens an upload, as long as the commit behind it leaves time for an answer before the silence is too long.
    async fn open_in_time(
        &self,
        repository: RepositoryName,
        digest: &Digest,
        size: u64,
    ) -> Result<Opened, Problem> {
        let digest = Some(digest.clone());
        let wish = Open { repository, digest, size: Some(size), key: None, from: Vec::new(), resume: None };
        timeout(COMMIT_TICK, self.find_or_open(wish)).await.unwrap_or_else(|_| {
            Err(Problem::new(Code::UpstreamBusy, "the registry takes long; open an upload").transient())
        })
    }
}

fn size(headers: &HeaderMap) -> Result<u64, Problem> {
    let size = body::length(headers)
        .ok_or_else(|| Problem::new(Code::BadRequest, "a blob needs a Content-Length"))?;
    if size <= LIMIT {
        return Ok(size);
    }
    Err(Problem::new(Code::TooLarge, format!("a blob of {size} bytes is to be sent in chunks")))
}
