//! What a registry does in another way than the distribution API has it, for those that are known to.
//!
//! The gateway asks here first, so that clients speak one API to all of them.

mod harbor;
mod openshift;
mod page;

use std::sync::Arc;

use http::{Method, Uri};
use reposure_oci::{RepositoryName, Transport, auth::Scopes};
use reposure_parcel::{
    config,
    kind::RegistryKind,
    problem::{Code, Problem},
};

use crate::{answer::Answer, api_server::AddressError};

use openshift::OpenShift;
use page::Page;

/// What a registry does in another way.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Nothing.
    Distribution,
    /// It has other names, and nothing here is known of its API.
    Named(RegistryKind),
    /// It lists and deletes by ImageStreams.
    OpenShift(OpenShift),
    /// It lists by an API of its own.
    Harbor,
}

/// What is asked for that is not for the registry itself, or not at first.
#[derive(Debug)]
pub(crate) enum Wish {
    /// The ImageStreams of the project.
    Streams(Page),
    /// That a tag of an ImageStream goes, or what is of a digest.
    Untag(openshift::Target),
    /// Harbor's repositories.
    Repositories(Page),
}

impl Kind {
    /// Takes what is configured.
    ///
    /// # Errors
    /// When the API server's address is malformed.
    pub(crate) fn new(config: config::Kind) -> Result<Self, AddressError> {
        Ok(match config {
            config::Kind::Distribution => Self::Distribution,
            config::Kind::OpenShift { project, api_server } => {
                Self::OpenShift(OpenShift::new(project, api_server)?)
            }
            config::Kind::Harbor => Self::Harbor,
        })
    }

    /// Takes what is known of a registry whose client has no other credentials than the registry's own.
    pub(crate) const fn embedded(kind: RegistryKind) -> Self {
        match kind {
            RegistryKind::OpenShift => Self::Named(kind),
            RegistryKind::Harbor => Self::Harbor,
        }
    }

    /// Returns what clients are told.
    pub(crate) const fn registry_kind(&self) -> Option<RegistryKind> {
        match self {
            Self::Distribution => None,
            Self::Named(kind) => Some(*kind),
            Self::OpenShift(_) => Some(RegistryKind::OpenShift),
            Self::Harbor => Some(RegistryKind::Harbor),
        }
    }

    /// Checks that a name can be one of a repository here, before the registry says no in words that help nobody.
    pub(crate) fn check(&self, name: &RepositoryName) -> Result<(), Problem> {
        let checked = self.registry_kind().map_or(Ok(()), |kind| kind.check(name));
        checked.map_err(|error| Problem::new(Code::BadRequest, error.to_string()))
    }

    /// Checks the name in a request of the distribution API, and returns what of it is not for the registry itself; none for what is.
    pub(crate) fn read(&self, method: &Method, uri: &Uri) -> Result<Option<Wish>, Problem> {
        if let Some(name) = Scopes::of(method, uri).repository_name().and_then(|name| name.parse().ok()) {
            self.check(&name)?;
        }
        let is_catalog = *method == Method::GET && uri.path() == "/v2/_catalog";
        Ok(match self {
            Self::OpenShift(_) if is_catalog => Some(Wish::Streams(Page::of(uri))),
            Self::OpenShift(_) if *method == Method::DELETE => openshift::Target::of(uri).map(Wish::Untag),
            Self::Harbor if is_catalog => Some(Wish::Repositories(Page::of(uri))),
            _ => None,
        })
    }

    /// Answers what [`Self::read`] returned.
    pub(crate) async fn answer(&self, wish: Wish, registry: Arc<dyn Transport>) -> Result<Answer, Problem> {
        match (self, wish) {
            (Self::OpenShift(openshift), Wish::Streams(page)) => openshift.list(&page).await,
            (Self::OpenShift(openshift), Wish::Untag(target)) => openshift.delete(&target).await,
            (_, Wish::Repositories(page)) => harbor::list(registry, &page).await,
            _ => Err(Problem::new(Code::NotFound, "the registry has no such API")),
        }
    }
}
