//! Deleting a tag, and nothing else.
//!
//! The specification lets a registry refuse to delete by tag, and Distribution 2.8 and Harbor do; but to delete by digest
//! deletes every tag of the image. There, a tag that shares its digest with others is first moved to a manifest that nobody
//! else has, and that is then deleted by its digest. Whoever is interrupted in between leaves the tag on such a dummy, which the
//! next deletion knows by its annotation. A tag that may not be changed is an error of its own.

use std::fmt::Write as _;

use bytes::Bytes;
use futures::future::try_join_all;
use http::StatusCode;
use serde_json::json;

use super::{
    client::Client,
    code::ErrorCode,
    error::{Error, Failure},
    immutable,
    operation::{Action, Operation},
};
use crate::{
    digest::Digest,
    manifest::{Manifest, RawManifest},
    media_type::MediaType,
    name::{Reference, RepositoryName, Tag},
    transport::{self, Transport},
};

/// How many tags are asked about at once.
const PARALLEL: usize = 8;
/// A configuration that every registry takes for one of an image, always the same, so that it is stored once.
const CONFIG: &str =
    r#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
/// Makes each dummy's digest its own.
const NONCE: &str = "cloud.puccini.reposure.nonce";

/// What was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagDeletion {
    /// The tag; the manifest is left to the registry's garbage collection.
    Tag,
    /// The manifest, which had no other tag.
    Manifest,
    /// The tag, by way of a dummy: other tags have the manifest.
    TagByDummy,
}

impl<T: Transport> Client<T> {
    /// Deletes a tag so that other tags of the same manifest stay.
    ///
    /// # Errors
    /// When there is no such tag, the registry lets nothing be deleted, or the tag is immutable
    /// ([`Failure::ImmutableTag`]); the tag is then as before.
    ///
    /// # Cancel safety
    /// A call that is dropped may have deleted the tag, or left it on a dummy without layers; it may be made again.
    ///
    /// # Assumptions
    /// Nobody puts another tag on the manifest in the meantime.
    pub async fn delete_tag_safely(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<TagDeletion, Error> {
        let reference = Reference::Tag(tag.clone());
        match self.delete_manifest(repository, &reference).await {
            Ok(()) => return Ok(TagDeletion::Tag),
            Err(error) if immutable::is_said(&error) => return Err(immutable::tag(error)),
            Err(error) if is_unsupported(&error) => {}
            Err(error) => return Err(error),
        }
        let manifest = self.to_be_deleted(repository, &reference).await?;
        let digest = Reference::Digest(manifest.digest().clone());
        if is_dummy(&manifest) {
            self.delete_stored(repository, &digest).await?;
            return Ok(TagDeletion::TagByDummy);
        }
        if self.is_shared(repository, tag, manifest.digest()).await? {
            self.delete_by_dummy(repository, &reference, &manifest).await?;
            return Ok(TagDeletion::TagByDummy);
        }
        self.delete_manifest(repository, &digest).await?;
        Ok(TagDeletion::Manifest)
    }

    /// Reads the manifest of a tag; what fails is the deletion.
    async fn to_be_deleted(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<RawManifest, Error> {
        self.get_manifest(repository, reference).await.map_err(|mut error| {
            error.operation.action = Action::DeleteManifest;
            error
        })
    }

    /// Tells whether another tag has the same manifest, or has it in an index.
    async fn is_shared(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let tags = self.tags(repository).await?;
        let others: Vec<_> = tags.into_iter().filter(|other| other != tag).map(Reference::Tag).collect();
        for some in others.chunks(PARALLEL) {
            let found = try_join_all(some.iter().map(|other| self.needs(repository, other, digest))).await?;
            if found.contains(&true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells whether what a tag is of would be damaged without a manifest. Registries delete what an index needs, too.
    async fn needs(
        &self,
        repository: &RepositoryName,
        tag: &Reference,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let Some(descriptor) = self.head_manifest(repository, tag).await? else { return Ok(false) };
        if descriptor.digest == *digest || !descriptor.media_type.is_index() {
            return Ok(descriptor.digest == *digest);
        }
        let index = match self.get_manifest(repository, &Reference::Digest(descriptor.digest)).await {
            Err(error) if error.is_not_found() => return Ok(false),
            index => index?,
        };
        Ok(match index.parse() {
            // An index in an index is so rare that it is not looked into.
            Ok(Manifest::Index(index)) => {
                index.manifests.iter().any(|child| child.digest == *digest || child.media_type.is_index())
            }
            Ok(Manifest::Image(_)) => false,
            Err(_) => true,
        })
    }

    async fn delete_by_dummy(
        &self,
        repository: &RepositoryName,
        tag: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), Error> {
        let config = Digest::sha256_of(CONFIG);
        let size = CONFIG.len() as u64;
        if self.head_blob(repository, &config).await?.is_none() {
            self.upload_monolithic(repository, &config, size, transport::full(CONFIG)).await?;
        }
        // Where nothing can be deleted, this is found out before the tag is touched.
        let probe = dummy(repository, &config)?;
        let by_digest = Reference::Digest(probe.digest().clone());
        self.put_manifest(repository, &by_digest, &probe).await?;
        self.delete_stored(repository, &by_digest).await?;

        let dummy = dummy(repository, &config)?;
        // A manifest could be stored just now, so what is refused is to move the tag.
        self.put_manifest(repository, tag, &dummy).await.map_err(immutable::refused_tag)?;
        let deleted = self.delete_stored(repository, &Reference::Digest(dummy.digest().clone())).await;
        if deleted.is_err()
            && let Err(error) = self.put_manifest(repository, tag, manifest).await
        {
            tracing::warn!(%error, cause = %error.failure, %repository, %tag, "the tag is left on a dummy");
        }
        deleted
    }
}

/// Makes a manifest that nobody else has: an image without layers.
fn dummy(repository: &RepositoryName, config: &Digest) -> Result<RawManifest, Error> {
    let nonce = rand::random::<[u8; 16]>().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": {"mediaType": MediaType::OCI_CONFIG, "size": CONFIG.len(), "digest": config},
        "layers": [],
        "annotations": {NONCE: nonce},
    });
    let operation = || Operation::on(Action::PutManifest, repository, config);
    RawManifest::new(MediaType::OCI_MANIFEST, Bytes::from(manifest.to_string()))
        .map_err(|source| Error::new(&operation(), Failure::Manifest(source)))
}

/// Tells a dummy that an interrupted deletion has left.
fn is_dummy(manifest: &RawManifest) -> bool {
    let Ok(Manifest::Image(image)) = manifest.parse() else { return false };
    image.annotations.contains_key(NONCE)
        && image.layers.is_empty()
        && image.config.digest == Digest::sha256_of(CONFIG)
}

/// Tells whether the registry does not delete by tag: 400 of Distribution 2.8 and Harbor, 405 of others.
fn is_unsupported(error: &Error) -> bool {
    match error.status() {
        Some(StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) => true,
        _ => error.has_code(&ErrorCode::Unsupported) || error.has_code(&ErrorCode::DigestInvalid),
    }
}
