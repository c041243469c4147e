//! What a token is asked for.
//!
//! See the [scope documentation](https://distribution.github.io/distribution/spec/auth/scope/).

use std::fmt;

use http::{Method, Uri};

use crate::name::RepositoryName;

/// One resource and what is done to it: `repository:a/b:pull,push`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(String);

/// What one request does, the most important first: some servers look only at that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    list: Vec<Scope>,
    repository: Option<String>,
}

impl Scope {
    fn repository(name: &str, actions: &str) -> Self {
        Self(format!("repository:{name}:{actions}"))
    }

    /// Takes a scope as a challenge names it.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the scope's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Scopes {
    /// Reading of a repository.
    pub fn pull(repository: &RepositoryName) -> Self {
        Self::of_repository(repository.as_str(), "pull")
    }

    /// Writing to a repository, which is asked for with reading.
    pub fn push(repository: &RepositoryName) -> Self {
        Self::of_repository(repository.as_str(), "pull,push")
    }

    /// Everything, deleting among it: `delete` by its name makes Quay's token useless.
    pub fn delete(repository: &RepositoryName) -> Self {
        Self::of_repository(repository.as_str(), "*")
    }

    /// Listing of repositories.
    pub fn catalog() -> Self {
        Self { list: vec![Scope::new("registry:catalog:*")], repository: None }
    }

    fn of_repository(name: &str, actions: &str) -> Self {
        Self { list: vec![Scope::repository(name, actions)], repository: Some(name.into()) }
    }

    /// Returns what a request of the distribution API does; nothing for one that is unknown.
    pub fn of(method: &Method, uri: &Uri) -> Self {
        let Some(path) = uri.path().strip_prefix("/v2/") else { return Self::default() };
        if path == "_catalog" {
            return Self::catalog();
        }
        let Some(name) = repository_in(path) else { return Self::default() };
        let actions = match *method {
            Method::GET | Method::HEAD => "pull",
            Method::DELETE => "*",
            _ => "pull,push",
        };
        let mut scopes = Self::of_repository(name, actions);
        scopes.list.extend(mounted_from(uri).map(|from| Scope::repository(&from, "pull")));
        scopes
    }

    /// Returns the scopes.
    pub fn list(&self) -> &[Scope] {
        &self.list
    }

    /// Returns the repository, if there is one.
    pub fn repository_name(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    /// Tells whether this lists repositories, which some registries guard in another way than the rest.
    pub(crate) fn is_catalog(&self) -> bool {
        self.repository.is_none() && !self.list.is_empty()
    }
}

fn repository_in(path: &str) -> Option<&str> {
    if let Some(name) = path.strip_suffix("/tags/list") {
        return Some(name);
    }
    if let Some((name, _)) = path.split_once("/blobs/uploads/") {
        return Some(name);
    }
    let parts = ["/blobs/", "/manifests/", "/referrers/"];
    parts.iter().find_map(|part| path.rsplit_once(part)).map(|(name, _)| name)
}

fn mounted_from(uri: &Uri) -> Option<String> {
    let query = uri.query()?;
    let from = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "from")?;
    uri.path().ends_with("/blobs/uploads/").then(|| from.1.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &Method, uri: &str) -> Vec<String> {
        Scopes::of(method, &uri.parse().unwrap()).list().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn requests_tell_what_they_do() {
        assert_eq!(of(&Method::GET, "/v2/a/b/manifests/v1"), ["repository:a/b:pull"]);
        assert_eq!(of(&Method::HEAD, "/v2/a/blobs/blobs/sha256:00"), ["repository:a/blobs:pull"]);
        assert_eq!(of(&Method::GET, "/v2/a/b/tags/list?n=1"), ["repository:a/b:pull"]);
        assert_eq!(of(&Method::PUT, "/v2/a/blobs/uploads/1?digest=x"), ["repository:a:pull,push"]);
        assert_eq!(of(&Method::DELETE, "/v2/a/manifests/v1"), ["repository:a:*"]);
        assert_eq!(of(&Method::GET, "/v2/_catalog?n=1"), ["registry:catalog:*"]);
        assert!(of(&Method::GET, "/v2/").is_empty());
        let mount = of(&Method::POST, "/v2/a/blobs/uploads/?mount=sha256:00&from=b/c");
        assert_eq!(mount, ["repository:a:pull,push", "repository:b/c:pull"]);
    }
}
