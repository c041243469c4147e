//! `/v2/NAME/blobs/uploads/`.
//!
//! See the distribution specification,
//! [Pushing blobs](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs). A blob of known
//! digest and size goes by one PUT: that is what every registry takes. One whose digest is known only at its end goes by one
//! PATCH without a length, as docker sends it. Chunks are for registries that are known to take them.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use super::{
    answer::{self, Whole},
    call::Call,
    client::Client,
    error::{Error, Failure},
    limits::ERROR_BODY,
    location,
    operation::{Action, Operation},
    session::{Mount, Session},
};
use crate::{
    auth::Scopes,
    digest::Digest,
    name::RepositoryName,
    transport::{self, Body, Transport},
};

/// The pause between two questions how far an upload is that was cut: Distribution writes 4 MiB at a time.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is asked at most: within the silence that middle boxes bear.
const QUESTIONS: usize = 12;

const OCTET_STREAM: &str = "application/octet-stream";

impl<T: Transport> Client<T> {
    /// Sends a blob of known digest and size.
    ///
    /// The body must have exactly `size` bytes. It is sent once: after an error the blob may be sent again from its start.
    ///
    /// # Errors
    /// When the registry refuses the blob, or stores something else. [`Error::is_too_large`] says that it, or a proxy before
    /// it, takes no body of this size.
    ///
    /// # Cancel safety
    /// A call that is dropped leaves an upload open at the registry, which forgets it in time.
    pub async fn upload_monolithic(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
        body: Body,
    ) -> Result<Digest, Error> {
        let session = self.start_upload(repository).await?;
        self.finish_with(session, digest, size, size, body).await
    }

    /// As [`Self::upload_monolithic`], in an upload that is open and empty, such as one that [`Self::mount`] left.
    ///
    /// # Errors
    /// As [`Self::upload_monolithic`].
    ///
    /// # Cancel safety
    /// As [`Self::upload_monolithic`].
    pub async fn finish_monolithic(
        &self,
        session: Session,
        digest: &Digest,
        size: u64,
        body: Body,
    ) -> Result<Digest, Error> {
        self.finish_with(session, digest, size, size, body).await
    }

    /// Opens an upload.
    ///
    /// # Errors
    /// When the registry refuses, or wants it to go on at another host.
    ///
    /// # Cancel safety
    /// As [`Self::upload_monolithic`].
    pub async fn start_upload(&self, repository: &RepositoryName) -> Result<Session, Error> {
        let operation = Operation::of(Action::StartUpload, repository);
        let call = Call::new(operation, Method::POST, format!("/v2/{repository}/blobs/uploads/"))
            .header(header::CONTENT_LENGTH, "0")?
            .expect(&[StatusCode::ACCEPTED]);
        let answer = self.call(&call, ERROR_BODY).await?;
        Session::new(repository, &call.path, answer.headers()).map_err(|failure| call.error(failure))
    }

    /// Mounts a blob from another repository, or opens an upload where that is not possible.
    ///
    /// # Errors
    /// When the registry refuses either, as some do for a repository that one may not read.
    ///
    /// # Cancel safety
    /// As [`Self::upload_monolithic`].
    pub async fn mount(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: &RepositoryName,
    ) -> Result<Mount, Error> {
        self.mount_by(repository, digest, &format!("?mount={digest}&from={from}")).await
    }

    /// As [`Self::mount`], from whatever repository the registry finds the blob in, where it does such a thing: most open an
    /// upload.
    ///
    /// # Errors
    /// When the registry refuses, as Quay does.
    ///
    /// # Cancel safety
    /// As [`Self::upload_monolithic`].
    pub async fn mount_from_anywhere(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Mount, Error> {
        self.mount_by(repository, digest, &format!("?mount={digest}")).await
    }

    async fn mount_by(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        query: &str,
    ) -> Result<Mount, Error> {
        let operation = Operation::on(Action::MountBlob, repository, digest);
        let path = format!("/v2/{repository}/blobs/uploads/{query}");
        let call = Call::new(operation, Method::POST, path)
            .header(header::CONTENT_LENGTH, "0")?
            .expect(&[StatusCode::CREATED, StatusCode::ACCEPTED]);
        let answer = self.call(&call, ERROR_BODY).await?;
        let failed = |failure| call.error(failure);
        if answer.status() == StatusCode::CREATED {
            answer::check_digest(answer.headers(), digest).map_err(failed)?;
            return Ok(Mount::Mounted);
        }
        Session::new(repository, &call.path, answer.headers()).map(Mount::Open).map_err(failed)
    }

    /// Sends all of a blob, or all that is left of it, whose length need not be known; returns how many bytes were sent.
    ///
    /// # Errors
    /// When the registry refuses the bytes, or has not taken all of them. After an error, [`Self::upload_status`] tells
    /// where to go on, if anywhere.
    ///
    /// # Cancel safety
    /// As after an error.
    pub async fn patch_stream(&self, session: &mut Session, body: Body) -> Result<u64, Error> {
        let call = patch(session).header(header::CONTENT_TYPE, OCTET_STREAM)?;
        session.touched = true;
        let (answer, sent) = self.stream(&call, body).await?;
        advance(&call, session, &answer, sent)?;
        Ok(sent)
    }

    /// Sends the next chunk of a blob, which must not be empty.
    ///
    /// # Errors
    /// As [`Self::patch_stream`].
    ///
    /// # Cancel safety
    /// As [`Self::patch_stream`].
    pub async fn patch_chunk(&self, session: &mut Session, chunk: Bytes) -> Result<(), Error> {
        let length = chunk.len() as u64;
        self.patch_piece(session, length, transport::full(chunk)).await
    }

    /// As [`Self::patch_chunk`], of `length` bytes, which the body must have exactly; it need not be in memory as a whole.
    ///
    /// # Errors
    /// As [`Self::patch_stream`]. [`Error::is_too_large`] says that a shorter chunk may be taken.
    ///
    /// # Cancel safety
    /// As [`Self::patch_stream`].
    pub async fn patch_piece(&self, session: &mut Session, length: u64, body: Body) -> Result<(), Error> {
        let start = session.offset();
        // The specification's own form, without `bytes`, the last byte included.
        let range = format!("{start}-{}", (start + length).saturating_sub(1));
        let call = patch(session)
            .header(header::CONTENT_TYPE, OCTET_STREAM)?
            .header(header::CONTENT_LENGTH, &length.to_string())?
            .header(header::CONTENT_RANGE, &range)?;
        session.touched = true;
        let (answer, sent) = self.stream(&call, transport::exact(body, length)).await?;
        advance(&call, session, &answer, sent)
    }

    /// Ends an upload of `size` bytes, all of which were sent.
    ///
    /// # Errors
    /// When the registry has other bytes than these.
    ///
    /// # Cancel safety
    /// The blob may have been stored.
    pub async fn finish_upload(&self, session: Session, digest: &Digest, size: u64) -> Result<Digest, Error> {
        self.finish_with(session, digest, size, 0, transport::empty()).await
    }

    /// Returns how many bytes the registry has.
    ///
    /// # Errors
    /// When it has forgotten the upload, as Distribution 2.8 does after a cut, or does not tell.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn upload_status(&self, session: &mut Session) -> Result<u64, Error> {
        let operation = Operation::of(Action::UploadStatus, session.repository());
        let call = Call::new(operation, Method::GET, session.path().into())
            .scopes(Scopes::push(session.repository()))
            .expect(&[StatusCode::NO_CONTENT, StatusCode::OK]);
        let answer = self.call(&call, ERROR_BODY).await?;
        session.recover(&call.path, answer.headers()).map_err(|failure| call.error(failure))
    }

    /// As [`Self::upload_status`], after a request that was cut just now: asks until the registry says the same twice, for some
    /// seconds at most, since it may still be storing bytes of that request.
    ///
    /// # Errors
    /// As [`Self::upload_status`].
    ///
    /// # Cancel safety
    /// As [`Self::upload_status`].
    pub async fn settled_upload_status(&self, session: &mut Session) -> Result<u64, Error> {
        let mut before = self.upload_status(session).await?;
        for _ in 1..QUESTIONS {
            tokio::time::sleep(PAUSE).await;
            let now = self.upload_status(session).await?;
            if now == before {
                break;
            }
            before = now;
        }
        Ok(before)
    }

    /// Gives an upload up. One that is forgotten already is no error.
    ///
    /// Distribution 3 deletes no upload by an address that does not say how much of it there is, and of a request that was cut nobody has
    /// been told. So it is asked for the address then; what stays there would keep a full disk full for a week.
    ///
    /// # Errors
    /// When the registry refuses, as Distribution does to those who may not delete.
    ///
    /// # Cancel safety
    /// The upload may have been given up.
    pub async fn cancel_upload(&self, mut session: Session) -> Result<(), Error> {
        let refused = match self.delete_upload(&session).await {
            Err(error) if error.status().is_some() && !error.is_denied() => error,
            done => return done,
        };
        if self.upload_status(&mut session).await.is_err() {
            return Err(refused);
        }
        if self.delete_upload(&session).await.is_ok() {
            return Ok(());
        }
        // It was still storing what has come.
        self.settled_upload_status(&mut session).await?;
        self.delete_upload(&session).await
    }

    async fn delete_upload(&self, session: &Session) -> Result<(), Error> {
        let operation = Operation::of(Action::CancelUpload, session.repository());
        let call = Call::new(operation, Method::DELETE, session.path().into())
            .scopes(Scopes::delete(session.repository()))
            .expect(&[StatusCode::NO_CONTENT, StatusCode::OK, StatusCode::ACCEPTED, StatusCode::NOT_FOUND]);
        let answer = self.call(&call, ERROR_BODY).await?;
        answer::refuse_html(answer.status(), answer.headers(), answer.body())
            .map_err(|failure| call.error(failure))
    }

    /// Ends an upload of `size` bytes with the last `length` of them.
    async fn finish_with(
        &self,
        session: Session,
        digest: &Digest,
        size: u64,
        length: u64,
        body: Body,
    ) -> Result<Digest, Error> {
        let operation = Operation::on(Action::FinishUpload, session.repository(), digest);
        let path = location::with_parameter(session.path(), "digest", &digest.to_string());
        let call = Call::new(operation, Method::PUT, path)
            .header(header::CONTENT_TYPE, OCTET_STREAM)?
            .header(header::CONTENT_LENGTH, &length.to_string())?
            .scopes(Scopes::push(session.repository()))
            .expect(&[StatusCode::CREATED]);
        let (answer, _) = self.stream(&call, transport::exact(body, length)).await?;
        self.confirm(&call, session.repository(), answer.headers(), digest, size).await?;
        Ok(digest.clone())
    }

    /// Checks what the registry says that it has stored, and asks if it does not say.
    async fn confirm(
        &self,
        call: &Call,
        repository: &RepositoryName,
        headers: &HeaderMap,
        digest: &Digest,
        size: u64,
    ) -> Result<(), Error> {
        if answer::check_digest(headers, digest).map_err(|failure| call.error(failure))? {
            return Ok(());
        }
        match self.head_blob(repository, digest).await? {
            Some(actual) if actual == size => Ok(()),
            actual => Err(call.error(Failure::Size { expected: size, actual })),
        }
    }
}

fn patch(session: &Session) -> Call {
    let operation = Operation::of(Action::Upload, session.repository());
    Call::new(operation, Method::PATCH, session.path().into())
        .scopes(Scopes::push(session.repository()))
        // ECR answers 201.
        .expect(&[StatusCode::ACCEPTED, StatusCode::CREATED, StatusCode::NO_CONTENT])
}

fn advance(call: &Call, session: &mut Session, answer: &Whole, sent: u64) -> Result<(), Error> {
    session.advance(&call.path, answer.headers(), sent).map_err(|failure| call.error(failure))
}
