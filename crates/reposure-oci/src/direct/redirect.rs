//! Redirects, as registries answer reads of blobs with when their storage serves them.

use std::net::IpAddr;

use http::{Method, Response, StatusCode, Uri, header};
use url::{Host, Url};

use crate::{
    auth::{is_local_address, is_localhost},
    endpoint::{Endpoint, Scheme},
};

/// The most redirects that one request follows: storage takes one, or two.
pub(crate) const LIMIT: usize = 5;

/// Why a redirect is not followed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("there were more than {LIMIT} redirects")]
    TooMany,
    #[error("{0:?} is no http or https URL")]
    NoUrl(String),
    #[error("{0} is plain HTTP, while the registry is dialled by TLS")]
    Plain(Uri),
    #[error(
        "{0} is an address of the machine itself or of its link, and not the registry's own host and port"
    )]
    Local(Uri),
    #[error("{0} is another host, which only reads of blobs are sent to")]
    Foreign(Uri),
}

/// Returns where an answer sends a read, if it does.
pub(crate) fn target<B>(method: &Method, answer: &Response<B>) -> Option<String> {
    let redirects = matches!(
        answer.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let location = answer.headers().get(header::LOCATION).filter(|_| redirects && reads)?;
    location.to_str().ok().map(Into::into)
}

/// Resolves a redirect from one URI to another, if it may be followed.
pub(crate) fn resolve(from: &Uri, to: &str, registry: &Endpoint) -> Result<Uri, Refusal> {
    let invalid = || Refusal::NoUrl(to.into());
    let url = Url::parse(&from.to_string()).and_then(|base| base.join(to)).map_err(|_| invalid())?;
    let uri: Uri = url.as_str().parse().map_err(|_| invalid())?;
    match url.scheme() {
        "https" => {}
        "http" if registry.scheme() == Scheme::Http => {}
        "http" => return Err(Refusal::Plain(without_query(uri))),
        _ => return Err(invalid()),
    }
    if registry.is_origin_of(&uri) {
        return Ok(uri);
    }
    if !from.path().contains("/blobs/") && registry.is_origin_of(from) {
        return Err(Refusal::Foreign(without_query(uri)));
    }
    // A registry on the machine itself may send us to other ports of it.
    let own_machine =
        registry.host_name().parse().map_or_else(|_| is_localhost(registry.host_name()), is_local_address);
    if is_local(&url) && !own_machine { Err(Refusal::Local(without_query(uri))) } else { Ok(uri) }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_localhost(name),
        Some(Host::Ipv4(address)) => is_local_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_local_address(IpAddr::V6(address)),
        None => false,
    }
}

/// The query of a storage's URL is a credential.
fn without_query(uri: Uri) -> Uri {
    let path = uri.path().to_string();
    let mut parts = uri.into_parts();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(scheme: Scheme, from: &str, to: &str) -> Result<String, Refusal> {
        let registry = Endpoint::new(scheme, "r:5000").unwrap();
        let from: Uri = format!("{}://r:5000{from}", scheme.as_str()).parse().unwrap();
        resolve(&from, to, &registry).map(|uri| uri.to_string())
    }

    #[test]
    fn blobs_may_be_elsewhere() {
        let blob = "/v2/a/blobs/sha256:00";
        let s3 = "https://s3.example/x?signature=1";
        assert_eq!(follow(Scheme::Https, blob, s3).unwrap(), s3);
        assert_eq!(follow(Scheme::Https, blob, "other").unwrap(), "https://r:5000/v2/a/blobs/other");
        assert_eq!(follow(Scheme::Http, blob, "http://minio:9000/x").unwrap(), "http://minio:9000/x");
    }

    #[test]
    fn other_redirects_are_refused() {
        let blob = "/v2/a/blobs/sha256:00";
        let refused = |from, to| follow(Scheme::Https, from, to).unwrap_err().to_string();
        assert!(refused(blob, "http://s3.example/x?secret").starts_with("http://s3.example/x is plain"));
        assert!(refused(blob, "https://169.254.169.254/latest").contains("of the machine itself"));
        assert!(refused(blob, "https://localhost:10250/").contains("of the machine itself"));
        assert!(refused(blob, "ftp://s3.example/").contains("no http"));
        assert!(refused("/v2/a/manifests/v1", "https://other/x").contains("another host"));
    }
}
