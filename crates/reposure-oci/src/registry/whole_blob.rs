//! A whole blob as a stream that goes on after a cut, and ends well only if it is what its digest says.

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::{
    client::Client,
    error::{Error, Failure},
    operation::{Action, Operation},
    retry::Retry,
};
use crate::{
    blob::Verifier,
    manifest::Descriptor,
    name::RepositoryName,
    transport::{Body, BoxError, Transport},
};

impl<T: Transport + Clone + 'static> Client<T> {
    /// Reads a blob of known size and digest.
    ///
    /// A stream that breaks off is taken up at its offset, after the pauses of a call that fails, which begin anew with each byte
    /// that comes; where the registry knows no ranges, what was there is skipped. The last piece comes only once size and digest are right: whoever reads to the end has the blob.
    ///
    /// # Errors
    /// The body fails with an [`Error`] when the blob is not there, cannot be read to its end, or is another one.
    ///
    /// # Cancel safety
    /// Dropping the body ends it.
    pub fn read_blob(&self, repository: &RepositoryName, blob: &Descriptor) -> Body {
        let reader = Reader {
            client: self.clone(),
            repository: repository.clone(),
            blob: blob.clone(),
            verifier: Some(Verifier::new(blob)),
            offset: 0,
            body: None,
            held: None,
            retry: Retry::new(self.limits()),
        };
        let pieces = stream::try_unfold(reader, async |mut reader| {
            let piece = reader.next().await?;
            Ok::<_, BoxError>(piece.map(|piece| (Frame::data(piece), reader)))
        });
        StreamBody::new(pieces).boxed_unsync()
    }
}

struct Reader<T> {
    client: Client<T>,
    repository: RepositoryName,
    blob: Descriptor,
    /// None once the blob has proved to be right.
    verifier: Option<Verifier>,
    offset: u64,
    body: Option<Body>,
    /// The last piece that came, until it is known that it is not the last one, or that all is right.
    held: Option<Bytes>,
    retry: Retry,
}

impl<T: Transport> Reader<T> {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.offset == self.blob.size {
                self.finish()?;
                return Ok(self.held.take());
            }
            match self.piece().await {
                Ok(Some(piece)) => {
                    self.offset += piece.len() as u64;
                    self.retry = Retry::new(self.client.limits());
                    if let Some(before) = self.held.replace(piece) {
                        return Ok(Some(before));
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.body = None;
                    self.retry.pause(error).await?;
                }
            }
        }
    }

    /// Returns the next bytes, if any came.
    async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        if self.body.is_none() {
            self.body = Some(self.open().await?);
        }
        let frame = match &mut self.body {
            Some(body) => body.frame().await,
            None => None,
        };
        let frame = match frame {
            Some(frame) => frame.map_err(|source| self.error(Failure::Broken(source)))?,
            None => return Err(self.error(Failure::Broken("it ended early".into()))),
        };
        let Ok(piece) = frame.into_data() else { return Ok(None) };
        if let Some(verifier) = &mut self.verifier {
            let checked = verifier.update(&piece);
            checked.map_err(|source| self.error(Failure::Source(source)))?;
        }
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    // By `&mut`, since a body can be handed to another thread, but not be shared with it.
    async fn open(&mut self) -> Result<Body, Error> {
        let range = self.offset..self.blob.size;
        let stream = self.client.get_blob_range(&self.repository, &self.blob.digest, range);
        stream.await.map(|stream| stream.body)
    }

    fn finish(&mut self) -> Result<(), Error> {
        match self.verifier.take().map(Verifier::finish) {
            Some(Err(source)) => Err(self.error(Failure::Source(source))),
            _ => Ok(()),
        }
    }

    fn error(&self, failure: Failure) -> Error {
        Error::new(&Operation::on(Action::GetBlob, &self.repository, &self.blob.digest), failure)
    }
}
