//! Paths.

use http::Method;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Base,
    Catalog,
    Token,
    Tags { repository: String },
    Manifest { repository: String, reference: String },
    Blob { repository: String, digest: String },
    Referrers { repository: String, digest: String },
    Uploads { repository: String },
    Upload { repository: String, id: String },
    Unknown,
}

impl Route {
    pub(crate) fn parse(path: &str) -> Self {
        if matches!(path, "/token" | "/v2/token" | "/openshift/token") {
            return Self::Token;
        }
        match path.strip_prefix("/v2") {
            Some("" | "/") => Self::Base,
            Some("/_catalog") => Self::Catalog,
            Some(rest) => rest.strip_prefix('/').map_or(Self::Unknown, Self::of_repository),
            None => Self::Unknown,
        }
    }

    fn of_repository(rest: &str) -> Self {
        if let Some(repository) = rest.strip_suffix("/tags/list") {
            return Self::Tags { repository: repository.into() };
        }
        if let Some((repository, id)) = rest.split_once("/blobs/uploads") {
            return match id.trim_start_matches('/') {
                "" => Self::Uploads { repository: repository.into() },
                id => Self::Upload { repository: repository.into(), id: id.into() },
            };
        }
        if let Some((repository, digest)) = rest.rsplit_once("/blobs/") {
            return Self::Blob { repository: repository.into(), digest: digest.into() };
        }
        if let Some((repository, digest)) = rest.rsplit_once("/referrers/") {
            return Self::Referrers { repository: repository.into(), digest: digest.into() };
        }
        match rest.rsplit_once("/manifests/") {
            Some((repository, reference)) => {
                Self::Manifest { repository: repository.into(), reference: reference.into() }
            }
            None => Self::Unknown,
        }
    }

    /// Returns the repository that a request would write to.
    pub(crate) fn written(&self, method: &Method) -> Option<&str> {
        self.repository().filter(|_| [Method::POST, Method::PUT, Method::PATCH].contains(method))
    }

    pub(crate) fn repository(&self) -> Option<&str> {
        match self {
            Self::Tags { repository }
            | Self::Manifest { repository, .. }
            | Self::Blob { repository, .. }
            | Self::Referrers { repository, .. }
            | Self::Uploads { repository }
            | Self::Upload { repository, .. } => Some(repository),
            Self::Base | Self::Catalog | Self::Token | Self::Unknown => None,
        }
    }
}

/// Returns the values of a parameter of a query or form.
pub(crate) fn parameters(query: &str, name: &str) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
}

/// Returns the first value of a parameter of a query or form.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    parameters(query, name).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_may_be_named_like_parts_of_the_path() {
        let route = Route::parse("/v2/blobs/manifests/blobs/sha256:00");
        assert_eq!(route, Route::Blob { repository: "blobs/manifests".into(), digest: "sha256:00".into() });
        let route = Route::parse("/v2/a/tags/list");
        assert_eq!(route, Route::Tags { repository: "a".into() });
    }
}
