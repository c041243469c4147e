//! `/v2/NAME/referrers/DIGEST`, and the tag that stands in for it.
//!
//! See the distribution specification,
//! [Listing referrers](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers).

use std::collections::HashSet;

use http::{HeaderName, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use super::{
    answer::{Whole, text_of},
    call::Call,
    client::Client,
    error::{Error, Failure},
    limits::PAGES,
    link, location,
    operation::{Action, Operation},
};
use crate::{
    digest::Digest,
    manifest::{Descriptor, MANIFEST_LIMIT},
    media_type::MediaType,
    name::{Reference, RepositoryName, Tag},
    referrer::{Referrer, cosign_tags, fallback_tag},
    transport::Transport,
};

/// The most referrers that are taken of one subject: far more than one image has signatures.
const REFERRERS: usize = 10_000;

/// A page of the list. What is malformed in it is left out: it cannot be asked for.
#[derive(Deserialize)]
struct Page {
    manifests: Option<Vec<Value>>,
}

impl<T: Transport> Client<T> {
    /// Lists what refers to a manifest, with one artifact type or with any; nothing for one that is not there.
    ///
    /// Where the registry has no such list, the index under the subject's [`fallback_tag`] is read. What cosign keeps under tags of
    /// its own is not in either; see [`Self::cosign_referrers`].
    ///
    /// # Errors
    /// When the registry cannot be asked, or the list is endless.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>, Error> {
        if let Some(listed) = self.listed_referrers(repository, subject, artifact_type).await? {
            return Ok(listed);
        }
        let mut referrers = self.noted_referrers(repository, subject).await?;
        referrers.retain(|referrer| referrer.is_of(artifact_type));
        Ok(referrers)
    }

    /// Returns what cosign keeps of a manifest under tags of its own.
    ///
    /// # Errors
    /// When the registry cannot be asked.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn cosign_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<(Tag, Descriptor)>, Error> {
        let mut found = Vec::new();
        for tag in cosign_tags(subject) {
            let descriptor = self.head_manifest(repository, &Reference::Tag(tag.clone())).await?;
            found.extend(descriptor.map(|descriptor| (tag, descriptor)));
        }
        Ok(found)
    }

    /// Reads the registry's own list; none where it has no such thing.
    async fn listed_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Referrer>>, Error> {
        let mut call = list(repository, subject, artifact_type)?;
        let (mut referrers, mut paths) = (Vec::new(), HashSet::new());
        while paths.insert(call.path.clone()) {
            let answer = match self.call(&call, MANIFEST_LIMIT).await {
                Err(error) if paths.len() == 1 && is_unsupported(&error) => return Ok(None),
                answer => answer?,
            };
            // Some answer anything below /v2/ with something.
            if paths.len() == 1 && !is_index(&answer) {
                return Ok(None);
            }
            let wanted = artifact_type.filter(|_| !is_filtered(&answer));
            let page = page(&answer).map_err(|failure| call.error(failure))?;
            referrers.extend(page.into_iter().filter(|referrer| referrer.is_of(wanted)));
            if paths.len() >= PAGES || referrers.len() > REFERRERS {
                return Err(call.error(Failure::Endless(paths.len())));
            }
            let next = link::next(answer.headers()).and_then(|link| location::resolve(&call.path, &link));
            match next {
                Some(next) => call.path = next.path,
                None => break,
            }
        }
        Ok(Some(referrers))
    }

    /// Reads the index under the fallback tag.
    async fn noted_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Referrer>, Error> {
        let reference = Reference::Tag(fallback_tag(subject));
        let index = match self.get_manifest(repository, &reference).await {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            index => index?,
        };
        let operation = || Operation::on(Action::ListReferrers, repository, subject);
        let page: Page = serde_json::from_slice(index.bytes())
            .map_err(|error| Error::new(&operation(), Failure::Malformed(error)))?;
        Ok(page.referrers())
    }
}

impl Page {
    fn referrers(self) -> Vec<Referrer> {
        let all = self.manifests.unwrap_or_default().into_iter().take(REFERRERS);
        all.filter_map(|item| serde_json::from_value(item).ok()).collect()
    }
}

fn list(repository: &RepositoryName, subject: &Digest, artifact_type: Option<&str>) -> Result<Call, Error> {
    let mut path = format!("/v2/{repository}/referrers/{subject}");
    if let Some(kind) = artifact_type {
        let kind: String = url::form_urlencoded::byte_serialize(kind.as_bytes()).collect();
        path = location::with_parameter(&path, "artifactType", &kind);
    }
    let operation = Operation::on(Action::ListReferrers, repository, subject);
    Call::new(operation, Method::GET, path).header(header::ACCEPT, MediaType::OCI_INDEX.as_str())
}

fn page(answer: &Whole) -> Result<Vec<Referrer>, Failure> {
    serde_json::from_slice(answer.body()).map(Page::referrers).map_err(Failure::Malformed)
}

fn is_index(answer: &Whole) -> bool {
    text_of(answer.headers(), &header::CONTENT_TYPE)
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim() == MediaType::OCI_INDEX.as_str())
}

/// Tells whether the registry itself has left out other artifact types.
fn is_filtered(answer: &Whole) -> bool {
    const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");
    text_of(answer.headers(), &FILTERS)
        .is_some_and(|filters| filters.split(',').any(|filter| filter.trim() == "artifactType"))
}

/// Tells whether the registry has no list of referrers: 404 as the specification has it, and what others answer to paths that
/// they do not know.
fn is_unsupported(error: &Error) -> bool {
    matches!(
        error.status(),
        Some(
            StatusCode::BAD_REQUEST
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_ACCEPTABLE
                | StatusCode::NOT_IMPLEMENTED
        )
    )
}
