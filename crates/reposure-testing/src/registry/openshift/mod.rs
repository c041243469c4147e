//! OpenShift: who may come in, and the API of ImageStreams, over what the registry holds.
//!
//! The registry takes tokens of the API server, as `Bearer` or as the password of any user, and looks at what RBAC lets their bearers
//! do. See [openshift/image-registry, `auth.go`](https://github.com/openshift/image-registry/blob/master/pkg/dockerregistry/server/auth.go).

mod access;
mod api;
mod streams;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

pub(crate) use access::{check, token};
pub use api::ImageStreamApi;

/// The projects of a cluster, and what bearers of tokens may do in them; a clone is the same cluster.
#[derive(Clone, Debug)]
pub struct Cluster(Arc<Judges>);

#[derive(Debug)]
enum Judges {
    /// What the test says.
    Said(Mutex<State>),
    /// A real API server.
    Real(Box<dyn Judge>),
}

/// Who says what is so in a real cluster.
pub trait Judge: fmt::Debug + Send + Sync {
    /// Tells whether the API server knows the bearer of a token.
    fn knows(&self, token: &str) -> bool;

    /// Tells whether there is a project.
    fn has_project(&self, project: &str) -> bool;

    /// Tells whether the bearer of a token may do this to a resource of `image.openshift.io`, in a project or in all of them.
    fn may(&self, token: &str, project: Option<&str>, resource: &str, verb: &str) -> bool;
}

#[derive(Debug, Default)]
struct State {
    projects: Vec<String>,
    /// Rights by token.
    accounts: HashMap<String, Vec<Rule>>,
}

impl State {
    fn may(&self, token: &str, project: Option<&str>, resource: &str, verb: &str) -> bool {
        let rules = self.accounts.get(token).map(Vec::as_slice).unwrap_or_default();
        rules.iter().any(|rule| {
            (rule.project.is_none() || rule.project.as_deref() == project)
                && (rule.resource == resource && rule.verb == verb)
        })
    }
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
        let state = State { projects, accounts: HashMap::new() };
        Self(Arc::new(Judges::Said(Mutex::new(state))))
    }

    /// Returns a real cluster, whose API server has passed on what comes with a name of its sender.
    pub fn real(judge: impl Judge + 'static) -> Self {
        Self(Arc::new(Judges::Real(Box::new(judge))))
    }

    /// Lets the bearer of a token do this, and nothing else; a real cluster has RBAC for it.
    pub fn allow(&self, token: &str, rules: Vec<Rule>) {
        self.say(|state| state.accounts.insert(token.into(), rules));
    }

    /// Makes a token worthless; a real cluster's are what they are.
    pub fn revoke(&self, token: &str) {
        self.say(|state| state.accounts.remove(token));
    }

    fn say<T>(&self, change: impl FnOnce(&mut State) -> T) {
        if let Judges::Said(state) = &*self.0 {
            change(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn ask(&self, said: impl FnOnce(&State) -> bool, real: impl FnOnce(&dyn Judge) -> bool) -> bool {
        match &*self.0 {
            Judges::Said(state) => said(&state.lock().unwrap_or_else(PoisonError::into_inner)),
            Judges::Real(judge) => real(judge.as_ref()),
        }
    }

    /// Tells whether senders are named by the API server in front, which has looked at their rights.
    pub(crate) fn is_real(&self) -> bool {
        matches!(&*self.0, Judges::Real(_))
    }

    pub(crate) fn knows(&self, token: &str) -> bool {
        self.ask(|state| state.accounts.contains_key(token), |judge| judge.knows(token))
    }

    pub(crate) fn has_project(&self, project: &str) -> bool {
        self.ask(
            |state| state.projects.iter().any(|known| known == project),
            |judge| judge.has_project(project),
        )
    }

    pub(crate) fn may(&self, token: &str, project: Option<&str>, resource: &str, verb: &str) -> bool {
        self.ask(
            |state| state.may(token, project, resource, verb),
            |judge| judge.may(token, project, resource, verb),
        )
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
