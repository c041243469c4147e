//! `/v2/NAME/manifests/REFERENCE`.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use serde::Deserialize;

use super::{
    answer::{self, Whole, text_of},
    call::Call,
    client::Client,
    error::{Error, Failure},
    immutable,
    limits::ERROR_BODY,
    operation::{Action, Operation},
};
use crate::{
    digest::{Digest, Digester},
    manifest::{Descriptor, MANIFEST_LIMIT, RawManifest},
    media_type::MediaType,
    name::{Reference, RepositoryName},
    referrer::Referrer,
    transport::Transport,
};

impl<T: Transport> Client<T> {
    /// Reads a manifest of at most [`MANIFEST_LIMIT`] bytes, of whatever media type.
    ///
    /// # Errors
    /// When it is not there, or does not have the digest that it was asked for by or came with.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn get_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<RawManifest, Error> {
        let call = call(Action::GetManifest, Method::GET, repository, reference)?;
        let answer = self.call(&call, MANIFEST_LIMIT).await?;
        let failed = |failure| call.error(failure);
        answer::refuse_html(answer.status(), answer.headers(), answer.body()).map_err(failed)?;
        let named = answer::digest(answer.headers());
        if let Some(digest) = &named {
            verify(answer.body(), digest).map_err(failed)?;
        }
        // It goes by the digest that it was asked for, or else by the one that the registry knows it by, of whatever algorithm.
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(_) => named.unwrap_or_else(|| Digest::sha256_of(answer.body())),
        };
        verify(answer.body(), &digest).map_err(failed)?;
        let media_type = media_type(&answer).map_err(failed)?;
        let manifest = RawManifest::verified(media_type, answer.into_body(), &digest);
        manifest.map_err(|source| failed(Failure::Manifest(source)))
    }

    /// Returns media type, size and digest of a manifest, or none if it is not there.
    ///
    /// # Errors
    /// When the registry cannot be asked.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn head_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Descriptor>, Error> {
        let call = call(Action::HeadManifest, Method::HEAD, repository, reference)?;
        match self.call(&call, ERROR_BODY).await {
            Ok(answer) => match descriptor(answer.headers(), reference) {
                Some(descriptor) => Ok(Some(descriptor)),
                None => {
                    self.get_manifest(repository, reference).await.map(|manifest| Some(manifest.descriptor()))
                }
            },
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores a manifest, whose blobs must be there, and returns its digest.
    ///
    /// A manifest with a subject is noted in the index of the subject's referrers, where the registry does not do that itself.
    ///
    /// # Errors
    /// When the registry refuses it, stores something else, or may not move the tag ([`Failure::ImmutableTag`]). One that is
    /// stored by a digest must have it.
    ///
    /// # Cancel safety
    /// A call that is dropped may have stored the manifest.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<Digest, Error> {
        const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
        let call = put(repository, reference, manifest)?;
        let digest = match reference {
            Reference::Digest(digest) => digest,
            Reference::Tag(_) => manifest.digest(),
        };
        verify(manifest.bytes(), digest).map_err(|failure| call.error(failure))?;
        let answer = self.call(&call, ERROR_BODY).await.map_err(|error| match reference {
            Reference::Tag(_) if immutable::is_said(&error) => immutable::tag(error),
            _ => error,
        })?;
        let stored = match answer::digest(answer.headers()) {
            Some(stored) => stored,
            None => self.stored_manifest(&call, repository, reference).await?,
        };
        // Which may be of another algorithm.
        verify(manifest.bytes(), &stored).map_err(|failure| call.error(failure))?;
        if let Some((subject, referrer)) = Referrer::of(manifest)
            && !answer.headers().contains_key(SUBJECT)
        {
            self.note_referrer(repository, &subject, &referrer).await?;
        }
        Ok(digest.clone())
    }

    /// Asks what is stored, where the registry does not say so by itself.
    async fn stored_manifest(
        &self,
        call: &Call,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Digest, Error> {
        match self.head_manifest(repository, reference).await? {
            Some(stored) => Ok(stored.digest),
            None => Err(call.error(Failure::Header { name: "docker-content-digest", value: None })),
        }
    }

    /// Deletes a manifest, with every tag of it, or only a tag where the registry does that; see
    /// [`Self::delete_tag_safely`].
    ///
    /// A manifest with a subject is taken out of the index of the subject's referrers, if there is one.
    ///
    /// # Errors
    /// When it is not there, or the registry refuses.
    ///
    /// # Cancel safety
    /// A call that is dropped may have deleted the manifest.
    pub async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        let manifest = match reference {
            // The manifest stays.
            Reference::Tag(_) => None,
            Reference::Digest(_) => match self.get_manifest(repository, reference).await {
                Err(error) if error.is_transient() => return Err(error),
                // What cannot be read may still be deleted, and if not, the deletion's own answer says so.
                manifest => manifest.ok(),
            },
        };
        self.delete_stored(repository, reference).await?;
        match manifest.as_ref().and_then(Referrer::of) {
            Some((subject, referrer)) => {
                self.forget_referrer(repository, &subject, &referrer.descriptor.digest).await
            }
            None => Ok(()),
        }
    }

    /// Deletes what is there, whatever it is.
    pub(crate) async fn delete_stored(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        let operation = Operation::on(Action::DeleteManifest, repository, reference);
        let call = Call::new(operation, Method::DELETE, path(repository, reference)).expect(&[
            StatusCode::ACCEPTED,
            StatusCode::OK,
            StatusCode::NO_CONTENT,
        ]);
        self.call_deleting(&call).await
    }
}

/// Returns the call that stores a manifest.
pub(crate) fn put(
    repository: &RepositoryName,
    reference: &Reference,
    manifest: &RawManifest,
) -> Result<Call, Error> {
    let operation = Operation::on(Action::PutManifest, repository, reference);
    let call = Call::new(operation, Method::PUT, path(repository, reference))
        .header(header::CONTENT_TYPE, manifest.media_type().as_str())?;
    Ok(call.body(manifest.bytes().clone()).expect(&[StatusCode::CREATED]))
}

pub(crate) fn path(repository: &RepositoryName, reference: &Reference) -> String {
    format!("/v2/{repository}/manifests/{reference}")
}

pub(crate) fn call(
    action: Action,
    method: Method,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Call, Error> {
    let operation = Operation::on(action, repository, reference);
    let call = Call::new(operation, method, path(repository, reference));
    // One header: some registries read only the first.
    let accept = MediaType::MANIFESTS.map(|kind| kind.to_string()).join(", ");
    call.header(header::ACCEPT, &accept)
}

/// Reads a descriptor from the headers of an answer, if they tell all.
fn descriptor(headers: &HeaderMap, reference: &Reference) -> Option<Descriptor> {
    let digest = match reference {
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(_) => answer::digest(headers)?,
    };
    Some(Descriptor::new(declared(headers)?, digest, answer::length(headers)?))
}

/// Returns the media type that an answer declares, if that says something.
fn declared(headers: &HeaderMap) -> Option<MediaType> {
    let text = text_of(headers, &header::CONTENT_TYPE)?.split(';').next()?.trim();
    (!matches!(text, "" | "application/octet-stream" | "application/json" | "text/plain"))
        .then(|| MediaType::new(text))
}

/// Returns the declared media type, else the one in the manifest.
fn media_type(answer: &Whole) -> Result<MediaType, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Inner {
        media_type: Option<MediaType>,
    }
    if let Some(declared) = declared(answer.headers()) {
        return Ok(declared);
    }
    let inner: Inner = serde_json::from_slice(answer.body()).map_err(Failure::Malformed)?;
    inner.media_type.ok_or(Failure::Header { name: "content-type", value: None })
}

fn verify(bytes: &[u8], expected: &Digest) -> Result<(), Failure> {
    let actual = digest_of(expected, bytes);
    if actual == *expected { Ok(()) } else { Err(Failure::Digest { expected: expected.clone(), actual }) }
}

fn digest_of(like: &Digest, bytes: &[u8]) -> Digest {
    let mut digester = Digester::new(like.algorithm());
    digester.update(bytes);
    digester.finish()
}
