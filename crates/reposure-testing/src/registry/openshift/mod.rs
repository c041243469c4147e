//! OpenShift: who may come in, and the API of ImageStreams, over what the registry holds.
//!
//! The registry takes tokens of the API server, as `Bearer` or as the password of any user, and looks at what RBAC lets their bearers
//! do. See [openshift/image-registry, `auth.go`](https://github.com/openshift/image-registry/blob/master/pkg/dockerregistry/server/auth.go).

mod access;
mod api;
mod streams;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

pub(crate) use access::{check, token};
pub use api::ImageStreamApi;

/// The projects of a cluster, and what bearers of tokens may do in them; a clone is the same cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    projects: Vec<String>,
    /// Rights by token.
    accounts: HashMap<String, Vec<Rule>>,
}

/// A right: to do something to a resource of `image.openshift.io`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The project; all of them where it is none.
    pub project: Option<String>,
    /// The resource: `imagestreams`, `imagestreams/layers`, `imagestreamtags`, `images`.
    pub resource: String,
    /// The verb.
    pub verb: String,
}

impl Cluster {
    /// Returns a cluster with these projects, where nobody may do anything.
    pub fn new(projects: &[&str]) -> Self {
        let projects = projects.iter().map(|&name| name.into()).collect();
        Self(Arc::new(Mutex::new(State { projects, accounts: HashMap::new() })))
    }

    /// Lets the bearer of a token do this, and nothing else.
    pub fn allow(&self, token: &str, rules: Vec<Rule>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).accounts.insert(token.into(), rules);
    }

    /// Makes a token worthless.
    pub fn revoke(&self, token: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).accounts.remove(token);
    }

    pub(crate) fn knows(&self, token: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).accounts.contains_key(token)
    }

    pub(crate) fn has_project(&self, project: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).projects.iter().any(|known| known == project)
    }

    pub(crate) fn may(&self, token: &str, project: Option<&str>, resource: &str, verb: &str) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = state.accounts.get(token).map(Vec::as_slice).unwrap_or_default();
        rules.iter().any(|rule| {
            (rule.project.is_none() || rule.project.as_deref() == project)
                && (rule.resource == resource && rule.verb == verb)
        })
    }
}

impl PartialEq for Cluster {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cluster {}

impl Rule {
    /// Returns the right to do all of `verbs` to each of `resources` in a project.
    pub fn all(project: &str, resources: &[&str], verbs: &[&str]) -> Vec<Self> {
        let rule = |resource: &str, verb: &str| Self {
            project: Some(project.into()),
            resource: resource.into(),
            verb: verb.into(),
        };
        resources
            .iter()
            .flat_map(|&resource| verbs.iter().map(move |&verb| (resource, verb)))
            .map(|(resource, verb)| rule(resource, verb))
            .collect()
    }

    /// Returns what it takes to push, pull, list and delete in a project.
    pub fn editor(project: &str) -> Vec<Self> {
        [
            Self::all(project, &["imagestreams"], &["get", "list", "create"]),
            Self::all(project, &["imagestreams/layers"], &["get", "update"]),
            Self::all(project, &["imagestreamtags"], &["delete"]),
        ]
        .concat()
    }
}
