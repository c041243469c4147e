//! A manifest that waits for its blobs.

use http::{Method, Request};
use reposure_oci::{Body, Digest, RepositoryName, transport};
use reposure_parcel::{
    after::{HEADER, LONGEST, MOST, PATIENCE, parse},
    problem::{Code, Problem},
};

use crate::{body, route, uploads::Uploads};

/// The blobs that a manifest is to be stored after.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct After {
    blobs: Vec<Digest>,
    repository: RepositoryName,
}

impl After {
    /// Reads what a request says of that, if it does.
    ///
    /// # Errors
    /// When what is sent is no manifest, or the names are malformed.
    pub(crate) fn of(request: &Request<Body>) -> Result<Option<Self>, Problem> {
        let Some(value) = request.headers().get(HEADER) else { return Ok(None) };
        let bad = |message: String| Problem::new(Code::BadRequest, message);
        let blobs: Option<Vec<Digest>> = value.to_str().ok().and_then(parse);
        let blobs = blobs.ok_or_else(|| bad(format!("{HEADER} is to name 1 to {MOST} digests")))?;
        let repository = repository(request.uri().path()).filter(|_| *request.method() == Method::PUT);
        let repository =
            repository.ok_or_else(|| bad(format!("{HEADER} stands where a manifest is put alone")))?;
        Ok(Some(Self { blobs, repository }))
    }

    /// Waits until the registry has confirmed them, with the manifest in hand, so that nothing is left to come from a client that may go
    /// meanwhile: then the manifest is not stored.
    ///
    /// # Errors
    /// When they do not come in time, or the manifest does not come whole, or is too long.
    ///
    /// # Cancel safety
    /// Dropping the future gives the request up.
    pub(crate) async fn wait(
        &self,
        uploads: &Uploads,
        request: Request<Body>,
    ) -> Result<Request<Body>, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = body::bytes(body, LONGEST).await?;
        uploads.confirmed(&self.blobs, &self.repository, PATIENCE).await?;
        Ok(Request::from_parts(parts, transport::full(bytes)))
    }
}

/// Returns the repository of a manifest's path.
fn repository(path: &str) -> Option<RepositoryName> {
    let (repository, _) = route::manifest(path)?;
    repository.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_of_a_manifest_is_found() {
        let name = |path: &str| repository(path).map(|name| name.to_string());
        assert_eq!(name("/v2/some/app/manifests/v1").as_deref(), Some("some/app"));
        assert_eq!(name("/v2/manifests/manifests/manifests/v1").as_deref(), Some("manifests/manifests"));
        for path in ["/v2/some/app/blobs/v1", "/v2/manifests/v1", "/v2//manifests/v1", "/v2/_catalog"] {
            assert_eq!(name(path), None, "{path}");
        }
    }
}
