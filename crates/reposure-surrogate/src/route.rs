//! What a request asks for, and the right that it takes.

use http::{Method, Uri};
use reposure_oci::{Digest, RepositoryName};
use reposure_parcel::{
    problem::{Code, Problem},
    whole,
    wire::{self, Right},
};

use crate::identifier::Identifier;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Hello,
    Exists,
    Tickets,
    Open,
    Progress(Identifier),
    Chunk(Identifier, u64),
    Commit(Identifier),
    Whole(RepositoryName, Digest),
    Cancel(Identifier),
    Result(Identifier),
    /// Give so many bytes.
    ProbeDown(u64),
    /// Take some.
    ProbeUp,
    /// Try whether the registry can take a blob.
    Storage,
    /// `/v2/…`, not checked any further.
    Registry,
}

impl Route {
    /// Reads method and path.
    pub(crate) fn parse(method: &Method, uri: &Uri) -> Result<Self, Problem> {
        if uri.scheme().is_some() || uri.authority().is_some() {
            return Err(Problem::new(Code::BadRequest, "a request names a path, not a host"));
        }
        let path = uri.path();
        if path.starts_with("/v2/") {
            return Ok(Self::Registry);
        }
        Self::parse_own(method, path)
            .ok_or_else(|| Problem::new(Code::NotFound, format!("there is no {method} {path} here")))
    }

    fn parse_own(method: &Method, path: &str) -> Option<Self> {
        let (get, post) = (*method == Method::GET, *method == Method::POST);
        match path {
            wire::HELLO => return get.then_some(Self::Hello),
            wire::EXISTS => return post.then_some(Self::Exists),
            wire::TICKETS => return post.then_some(Self::Tickets),
            wire::UPLOADS => return post.then_some(Self::Open),
            wire::STORAGE => return post.then_some(Self::Storage),
            wire::PROBE => return (*method == Method::PUT).then_some(Self::ProbeUp),
            _ => {}
        }
        if let Some(id) = below(path, wire::RESULTS) {
            return (get || *method == Method::HEAD).then_some(Self::Result(id.parse().ok()?));
        }
        if let Some(rest) = below(path, wire::BLOBS) {
            let (repository, digest) = whole::parse(rest)?;
            return (*method == Method::PUT).then_some(Self::Whole(repository, digest));
        }
        if let Some(length) = below(path, wire::PROBE) {
            return get.then_some(Self::ProbeDown(length.parse().ok()?));
        }
        let rest = below(path, wire::UPLOADS)?;
        let Some((id, rest)) = rest.split_once('/') else {
            return get.then_some(Self::Progress(rest.parse().ok()?));
        };
        let id = id.parse().ok()?;
        match rest {
            "commit" => post.then_some(Self::Commit(id)),
            "cancel" => post.then_some(Self::Cancel(id)),
            offset => (*method == Method::PUT).then_some(Self::Chunk(id, offset.parse().ok()?)),
        }
    }

    /// Returns the right that a request of `method` takes.
    pub(crate) fn right(&self, method: &Method) -> Right {
        match self {
            Self::Hello
            | Self::Exists
            | Self::Tickets
            | Self::Result(_)
            | Self::ProbeDown(_)
            | Self::ProbeUp => Right::Pull,
            Self::Open
            | Self::Progress(_)
            | Self::Chunk(..)
            | Self::Commit(_)
            | Self::Cancel(_)
            | Self::Whole(..)
            | Self::Storage => Right::Push,
            Self::Registry => match *method {
                Method::GET | Method::HEAD => Right::Pull,
                Method::POST | Method::PUT | Method::PATCH => Right::Push,
                _ => Right::Admin,
            },
        }
    }
}

/// Takes `/v2/REPOSITORY/manifests/REFERENCE` apart; neither of the two is checked.
pub(crate) fn manifest(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/v2/")?.rsplit_once("/manifests/")
}

fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(method: &Method, path: &str) -> Result<Right, Code> {
        Route::parse(method, &path.parse().unwrap())
            .map(|route| route.right(method))
            .map_err(|problem| problem.code)
    }

    #[test]
    fn rights_follow_what_is_done() {
        let id = Identifier::random();
        let uploads = wire::UPLOADS;
        for (method, path, expected) in [
            (Method::GET, wire::HELLO.to_owned(), Right::Pull),
            (Method::POST, wire::EXISTS.to_owned(), Right::Pull),
            (Method::POST, wire::TICKETS.to_owned(), Right::Pull),
            (Method::HEAD, format!("{}/{id}", wire::RESULTS), Right::Pull),
            (Method::GET, format!("{}/1", wire::PROBE), Right::Pull),
            (Method::PUT, wire::PROBE.to_owned(), Right::Pull),
            (Method::PUT, format!("{}/a/b/sha256:{:064}", wire::BLOBS, 0), Right::Push),
            (Method::POST, uploads.to_owned(), Right::Push),
            (Method::POST, wire::STORAGE.to_owned(), Right::Push),
            (Method::GET, format!("{uploads}/{id}"), Right::Push),
            (Method::PUT, format!("{uploads}/{id}/0"), Right::Push),
            (Method::POST, format!("{uploads}/{id}/commit"), Right::Push),
            (Method::POST, format!("{uploads}/{id}/cancel"), Right::Push),
            (Method::HEAD, "/v2/a/manifests/b".to_owned(), Right::Pull),
            (Method::PATCH, "/v2/a".to_owned(), Right::Push),
            (Method::DELETE, "/v2/a".to_owned(), Right::Admin),
            (Method::OPTIONS, "/v2/a".to_owned(), Right::Admin),
        ] {
            assert_eq!(right(&method, &path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn hosts_are_refused() {
        for uri in
            ["http://other.example/v2/", "https://other.example:80/reposure/v1/hello", "other.example:443"]
        {
            assert_eq!(right(&Method::GET, uri), Err(Code::BadRequest), "{uri}");
        }
    }

    #[test]
    fn knows_nothing_else() {
        let id = Identifier::random();
        for (method, path) in [
            (Method::POST, wire::HELLO.to_owned()),
            (Method::GET, wire::TICKETS.to_owned()),
            (Method::GET, "/".to_owned()),
            (Method::GET, "/v2".to_owned()),
            (Method::GET, wire::STATUS.to_owned()),
            (Method::GET, format!("{}/a/sha256:{:064}", wire::BLOBS, 0)),
            (Method::PUT, format!("{}/a", wire::BLOBS)),
            (Method::GET, wire::PROBE.to_owned()),
            (Method::GET, format!("{}/-1", wire::PROBE)),
            (Method::PUT, format!("{}/1", wire::PROBE)),
            (Method::DELETE, format!("{}/{id}", wire::UPLOADS)),
            (Method::PUT, format!("{}/{id}/-1", wire::UPLOADS)),
            (Method::PUT, format!("{}/short/0", wire::UPLOADS)),
            (Method::PUT, format!("{}/{id}/0/1", wire::UPLOADS)),
        ] {
            assert_eq!(right(&method, &path), Err(Code::NotFound), "{path}");
        }
    }
}
