//! The index of referrers under a fallback tag, which clients keep where the registry does not.
//!
//! It is read, changed and stored again, under `If-Match` where the registry names a version; and read once more, since most
//! registries know no conditions, and another client may have stored its own in between.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{
    answer::text_of,
    client::Client,
    error::{Error, Failure},
    limits::ERROR_BODY,
    manifests,
    operation::{Action, Operation},
};
use crate::{
    digest::Digest,
    manifest::{MANIFEST_LIMIT, RawManifest},
    media_type::MediaType,
    name::{Reference, RepositoryName},
    referrer::{Referrer, fallback_tag},
    transport::Transport,
};

/// How often the index is changed again because others did so too.
const TRIES: u32 = 8;

/// The index as it is.
struct Held {
    index: Value,
    /// What stands for its version.
    version: Option<String>,
    /// Its digest; none if there is no index yet.
    digest: Option<Digest>,
}

impl<T: Transport> Client<T> {
    /// Makes sure that the index of a subject's referrers has this one.
    pub(crate) async fn note_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Referrer,
    ) -> Result<(), Error> {
        let change = |held: &mut Held| held.add(referrer);
        self.change_index(repository, subject, change).await
    }

    /// Makes sure that the index of a subject's referrers, if there is one, does not have this one.
    pub(crate) async fn forget_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Digest,
    ) -> Result<(), Error> {
        let change = |held: &mut Held| held.remove(referrer);
        self.change_index(repository, subject, change).await
    }

    /// Changes the index until there is nothing left to change.
    async fn change_index(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        change: impl Fn(&mut Held) -> bool,
    ) -> Result<(), Error> {
        let reference = Reference::Tag(fallback_tag(subject));
        // Several referrers of one push would be in each other's way.
        let _alone = self.upkeep().lock().await;
        for _ in 0..TRIES {
            let mut held = self.held(repository, &reference).await?;
            if !change(&mut held) {
                return Ok(());
            }
            match self.store(repository, &reference, held).await {
                Err(error) if error.status() == Some(StatusCode::PRECONDITION_FAILED) => {}
                stored => stored?,
            }
        }
        let operation = Operation::on(Action::ListReferrers, repository, subject);
        Err(Error::new(&operation, Failure::Contended(TRIES)))
    }

    async fn held(&self, repository: &RepositoryName, reference: &Reference) -> Result<Held, Error> {
        let call = manifests::call(Action::GetManifest, Method::GET, repository, reference)?;
        let answer = match self.call(&call, MANIFEST_LIMIT).await {
            Err(error) if error.is_not_found() => return Ok(Held::empty()),
            answer => answer?,
        };
        let failed = |failure| call.error(failure);
        let index: Value =
            serde_json::from_slice(answer.body()).map_err(|error| failed(Failure::Malformed(error)))?;
        if !index["manifests"].is_array() {
            return Err(failed(Failure::NoReferrers));
        }
        let version = text_of(answer.headers(), &header::ETAG).map(Into::into);
        Ok(Held { index, version, digest: Some(Digest::sha256_of(answer.body())) })
    }

    /// Stores the index, or deletes it if it is empty.
    async fn store(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        held: Held,
    ) -> Result<(), Error> {
        if let (true, Some(digest)) = (held.is_empty(), &held.digest) {
            // The index named referrers of one subject, so no other tag has it.
            return self.delete_stored(repository, &Reference::Digest(digest.clone())).await;
        }
        let operation = Operation::on(Action::PutManifest, repository, reference);
        let index = RawManifest::new(MediaType::OCI_INDEX, Bytes::from(held.index.to_string()))
            .map_err(|source| Error::new(&operation, Failure::Manifest(source)))?;
        let call = manifests::put(repository, reference, &index)?;
        let call = match &held.version {
            Some(version) => call.header(header::IF_MATCH, version)?,
            None => call,
        };
        self.call(&call, ERROR_BODY).await.map(drop)
    }
}

impl Held {
    fn empty() -> Self {
        let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": []});
        Self { index, version: None, digest: None }
    }

    fn referrers(&mut self) -> Option<&mut Vec<Value>> {
        self.index["manifests"].as_array_mut()
    }

    fn is_empty(&self) -> bool {
        self.index["manifests"].as_array().is_none_or(Vec::is_empty)
    }

    /// Adds a referrer, unless it is there; tells whether that changed anything. What others wrote stays as it is.
    fn add(&mut self, referrer: &Referrer) -> bool {
        let Some(referrers) = self.referrers() else { return false };
        if referrers.iter().any(|known| is_of(known, &referrer.descriptor.digest)) {
            return false;
        }
        referrers.push(json!(referrer));
        true
    }

    fn remove(&mut self, digest: &Digest) -> bool {
        let Some(referrers) = self.referrers() else { return false };
        let before = referrers.len();
        referrers.retain(|known| !is_of(known, digest));
        referrers.len() < before
    }
}

fn is_of(descriptor: &Value, digest: &Digest) -> bool {
    descriptor["digest"].as_str() == Some(&digest.to_string())
}
