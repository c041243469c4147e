//! Harbor: it lists all repositories for its administrators alone, and those of a project for whoever may see the project.
//!
//! Its own API takes name and password, as its catalog does, where the rest of the distribution API takes tokens.

use std::{collections::BTreeSet, sync::Arc};

use http::{Request, StatusCode};
use reposure_oci::{
    auth::Scopes,
    transport::{self, Transport},
};
use reposure_parcel::problem::{Code, Problem};
use serde::{Deserialize, de::DeserializeOwned};
use url::form_urlencoded;

use super::page::Page;
use crate::{
    answer::{self, Answer},
    body, gateway,
    upstream::refusal,
};

/// The most on a page of Harbor's API.
const PAGE: usize = 100;
/// The most pages of projects that are read.
const PROJECT_PAGES: usize = 20;
/// The largest answer, in bytes: a repository takes some 300, with a description of up to some KiB.
const ANSWER: usize = 1 << 20;

/// A project, or a repository with its project's name before its own.
#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

/// Where a list goes on: a page, from 1, of the repositories of a project.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    project: String,
    page: usize,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (project, page) = text.rsplit_once('/')?;
        Some(Self { project: project.into(), page: page.parse().ok().filter(|page| *page > 0)? })
    }

    fn text(&self) -> String {
        format!("{}/{}", self.project, self.page)
    }
}

/// Lists the repositories: by the catalog, or where that is refused, project by project.
pub(super) async fn list(registry: Arc<dyn Transport>, page: &Page) -> Result<Answer, Problem> {
    if let Some(next) = &page.next {
        let malformed = || Problem::new(Code::BadRequest, "there is no such page of the catalog");
        return by_projects(registry.as_ref(), page, Some(Place::parse(next).ok_or_else(malformed)?)).await;
    }
    match gateway::exchange(registry.clone(), request(&catalog(page))).await {
        Err(problem) if problem.code == Code::UpstreamDenied => {
            by_projects(registry.as_ref(), page, None).await
        }
        listed => listed,
    }
}

fn catalog(page: &Page) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("n", &page.size.to_string());
    query.extend_pairs(page.last.as_deref().map(|last| ("last", last)));
    format!("/v2/_catalog?{}", query.finish())
}

/// Lists a page that is not empty, unless it is the last one: clients stop at one that is.
async fn by_projects(registry: &dyn Transport, page: &Page, from: Option<Place>) -> Result<Answer, Problem> {
    let mut projects = projects(registry).await?.into_iter();
    let mut place = match from {
        // A project that is gone meanwhile has no more repositories; those after it have.
        Some(place) => projects.find(|project| *project >= place.project).map(|project| {
            let page = if project == place.project { place.page } else { 1 };
            Place { project, page }
        }),
        None => projects.next().map(|project| Place { project, page: 1 }),
    };
    while let Some(here) = place {
        let names = repositories(registry, &here).await?;
        let next = if names.len() < PAGE {
            projects.next().map(|project| Place { project, page: 1 })
        } else {
            Some(Place { page: here.page + 1, project: here.project })
        };
        if !names.is_empty() {
            return Ok(page.answer(&names, next.as_ref().map(Place::text).as_deref()));
        }
        place = next;
    }
    Ok(page.answer(&[], None))
}

/// Returns the projects that the credentials may see.
async fn projects(registry: &dyn Transport) -> Result<BTreeSet<String>, Problem> {
    let mut projects = BTreeSet::new();
    for page in 1..=PROJECT_PAGES {
        let path = format!("/api/v2.0/projects?with_detail=false&page={page}&page_size={PAGE}");
        let found = get::<Vec<Named>>(registry, &path).await?;
        let count = found.len();
        projects.extend(found.into_iter().map(|project| project.name));
        if count < PAGE {
            break;
        }
    }
    Ok(projects)
}

/// Returns a page of the repositories of a project; none of one that anyone may see and that lists nothing for these credentials.
async fn repositories(registry: &dyn Transport, place: &Place) -> Result<Vec<String>, Problem> {
    let Place { project, page } = place;
    let path = format!("/api/v2.0/projects/{project}/repositories?page={page}&page_size={PAGE}");
    match get::<Vec<Named>>(registry, &path).await {
        Ok(found) => Ok(found.into_iter().map(|repository| repository.name).collect()),
        Err(problem) if matches!(problem.upstream_status, Some(401 | 403 | 404)) => Ok(Vec::new()),
        Err(problem) => Err(problem),
    }
}

async fn get<T: DeserializeOwned + Default>(registry: &dyn Transport, path: &str) -> Result<T, Problem> {
    let doing = format!("cannot GET {}", path.split('?').next().unwrap_or_default());
    let mut request = request(path);
    // What the catalog takes, this takes too.
    request.extensions_mut().insert(Scopes::catalog());
    let response = registry.send(request).await.map_err(|error| answer::unreachable(&doing, &error))?;
    if response.status() != StatusCode::OK {
        return Err(refusal::problem(&doing, response).await);
    }
    let unreadable = |error: String| Problem::new(Code::UpstreamRefused, format!("{doing}: {error}"));
    let bytes = body::collect(body::with_deadline(response.into_body()), ANSWER).await;
    let bytes = bytes.map_err(|error| unreadable(error.to_string()))?;
    // An empty list may be null.
    let read: Option<T> = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    Ok(read.unwrap_or_default())
}

fn request(path: &str) -> Request<transport::Body> {
    Request::get(path).body(transport::empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = Place { project: "shop".into(), page: 12 };
        assert_eq!(Place::parse(&place.text()), Some(place));
        for text in ["shop", "shop/", "shop/0", "shop/x", ""] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
