//! OpenShift's registry: a repository is an ImageStream.
//!
//! It lists repositories for nobody who may not list them in all projects, and deletes no manifest that an ImageStream has. Both goes
//! by the API of ImageStreams, with the same token. See
//! [OpenShift, "Image APIs"](https://docs.openshift.com/container-platform/latest/rest_api/image_apis/image-apis-index.html).

mod delete;
mod refusal;
mod streams;

use reposure_oci::{Digest, RepositoryName, Tag};
use reposure_parcel::{config, problem::Problem};

use super::page::Page;
use crate::{
    answer::Answer,
    api_server::{AddressError, ApiServer},
    route,
};

use streams::Streams;

/// What knows the ImageStreams of a project.
#[derive(Debug)]
pub(crate) struct OpenShift {
    project: String,
    streams: Streams,
}

/// What is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    project: String,
    stream: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Tag(Tag),
    Digest(Digest),
}

impl Target {
    /// Reads `/v2/PROJECT/NAME/manifests/REFERENCE`.
    pub(super) fn of(uri: &http::Uri) -> Option<Self> {
        let (name, reference) = route::manifest(uri.path())?;
        let name: RepositoryName = name.parse().ok()?;
        let (project, stream) = name.as_str().split_once('/')?;
        let what = match reference.parse::<Digest>() {
            Ok(digest) => What::Digest(digest),
            Err(_) => What::Tag(reference.parse().ok()?),
        };
        Some(Self { project: project.into(), stream: stream.into(), what })
    }

    fn name(&self) -> String {
        format!("{}/{}", self.project, self.stream)
    }
}

impl OpenShift {
    pub(super) fn new(project: String, api_server: config::ApiServer) -> Result<Self, AddressError> {
        Ok(Self { project, streams: Streams::new(ApiServer::new(api_server)?) })
    }

    /// Lists the ImageStreams of the project as repositories.
    pub(super) async fn list(&self, page: &Page) -> Result<Answer, Problem> {
        let Some(last) = &page.last else {
            let found = self.streams.list(&self.project, page.size, page.next.as_deref()).await?;
            return Ok(page.answer(&self.named(&found.names), found.next.as_deref()));
        };
        let (mut next, mut names) = (None, Vec::new());
        // Nobody counts by names but who was told to by another registry, so that no more than is needed is done for it.
        for _ in 0..streams::PAGES {
            let found = self.streams.list(&self.project, page.size, next.as_deref()).await?;
            names.extend(self.named(&found.names).into_iter().filter(|name| name > last));
            next = found.next;
            if !names.is_empty() || next.is_none() {
                break;
            }
        }
        Ok(page.answer(&names, next.as_deref()))
    }

    fn named(&self, streams: &[String]) -> Vec<String> {
        streams.iter().map(|stream| format!("{}/{stream}", self.project)).collect()
    }

    /// Deletes a tag, or all tags of a digest.
    pub(super) async fn delete(&self, target: &Target) -> Result<Answer, Problem> {
        delete::delete(&self.streams, target).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Option<Target> {
        Target::of(&path.parse().unwrap())
    }

    #[test]
    fn what_is_to_be_deleted_is_a_tag_or_a_digest() {
        let tag = target("/v2/shop/app/manifests/v1").unwrap();
        assert_eq!((tag.name().as_str(), tag.what), ("shop/app", What::Tag("v1".parse().unwrap())));
        let digest = format!("sha256:{:064}", 0);
        let of_digest = target(&format!("/v2/shop/app/manifests/{digest}")).unwrap();
        assert_eq!(of_digest.what, What::Digest(digest.parse().unwrap()));
        for path in ["/v2/shop/app/blobs/sha256:00", "/v2/app/manifests/v1", "/v2/shop/app/manifests/-x"] {
            assert_eq!(target(path), None, "{path}");
        }
    }
}
