//! Whether the registry can take a blob.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Limited};
use reposure_client::session::{Session, SessionError};
use reposure_oci::RepositoryName;
use reposure_parcel::problem::Problem;
use serde::Deserialize;

use super::check::Check;

const STORAGE: &str = "storage";
/// The largest page of a catalog that is read, in bytes: one name was asked for.
const PAGE: usize = 64 << 10;

#[derive(Deserialize)]
struct Catalog {
    /// Some registries say `null`, or hold one.
    repositories: Option<Vec<Option<String>>>,
}

/// A repository to try with.
struct Place {
    name: RepositoryName,
    /// Whether the registry named it, and so may be expected to take something into it.
    is_there: bool,
}

/// Has some bytes sent to the registry and taken back; says nothing where the surrogate knows no such thing.
pub(super) async fn examine(session: &Session) -> Option<Check> {
    if !session.can_try_storage() {
        return None;
    }
    let place = place(session).await?;
    Some(match session.try_storage(place.name.clone()).await {
        Ok(()) => Check::ok(STORAGE, format!("takes blobs, tried in {}", place.name)),
        Err(error) => refused(&place, error, &session.hello().registry),
    })
}

/// Takes a repository that is there, since not every registry makes one by itself; else one that is never seen.
async fn place(session: &Session) -> Option<Place> {
    if let Some(name) = first(session).await {
        return Some(Place { name, is_there: true });
    }
    // Where repositories belong to projects, those are often named as namespaces: OpenShift's are namespaces.
    let name = format!("{}/reposure-doctor", session.hello().namespace).parse().ok()?;
    Some(Place { name, is_there: false })
}

async fn first(session: &Session) -> Option<RepositoryName> {
    let request = Request::get("/v2/_catalog?n=1").body(Bytes::new()).ok()?;
    let response = session.send(request).await.ok().filter(|response| response.status().is_success())?;
    let page = Limited::new(response.into_body(), PAGE).collect().await.ok()?.to_bytes();
    let page: Catalog = serde_json::from_slice(&page).ok()?;
    page.repositories?.into_iter().flatten().find_map(|name| name.parse().ok())
}

fn refused(place: &Place, error: SessionError, registry: &str) -> Check {
    let status = match &error {
        SessionError::Problem { problem: Problem { upstream_status, .. }, .. } => *upstream_status,
        _ => None,
    };
    let error = anyhow::Error::new(error).context(format!("cannot store a blob in {}", place.name));
    let check = Check::because(STORAGE, &error);
    let check = match status {
        Some(401 | 403) => check.hint(format!(
            "give the registry's credentials the right to push: spec.authorizationSecret of registry {registry}"
        )),
        Some(405) => check.hint("see whether the registry is read-only, as for a collection of garbage"),
        Some(500..=599) => check.hint("see whether the registry's disk is full, and what its log says"),
        _ => check,
    };
    // A registry may refuse a repository that it does not know, and take all others.
    let is_of_name = !place.is_there && matches!(status, Some(400..=404));
    if is_of_name { check.at_most_warning() } else { check }
}
