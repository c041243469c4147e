//! Which headers pass the gateway, and how they change.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::upstream::relative;

/// Headers of one connection, and what only proxies say to each other.
///
/// See [RFC 9110, section 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1).
const OF_THE_CONNECTION: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "forwarded",
    "via",
];

/// Headers of a client that are for the registry. All others are not: there is no end of those that make some server do what
/// the method does not say (`X-HTTP-Method-Override`), or open a machine's metadata where a blob is redirected to.
const OF_THE_CLIENT: [&str; 6] =
    ["accept", "range", "content-type", "content-length", "content-range", "user-agent"];

/// Prefixes of names of further ones: conditions, and what registries have made up.
const PREFIXES_OF_THE_CLIENT: [&str; 3] = ["if-", "docker-", "oci-"];

/// Headers of a registry that are not for the client: its challenges are the surrogate's to meet.
const OF_THE_REGISTRY: [&str; 3] = ["www-authenticate", "set-cookie", "alt-svc"];

/// Prefixes of names in a registry's answer that the surrogate, the API server and proxies use.
const PREFIXES: [&str; 4] = ["reposure-", "x-forwarded-", "x-remote-", "impersonate-"];

/// Removes from a client's request what is not for the registry.
pub(super) fn to_registry(headers: &mut HeaderMap) {
    let is_wanted = |name: &str| {
        OF_THE_CLIENT.contains(&name) || PREFIXES_OF_THE_CLIENT.iter().any(|prefix| name.starts_with(prefix))
    };
    strip(headers, |name| !is_wanted(name));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Removes from a registry's answer what is not for the client, and makes its references relative to the surrogate.
pub(super) fn to_client(headers: &mut HeaderMap, path: &str) {
    let is_unwanted = |name: &str| {
        OF_THE_REGISTRY.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    strip(headers, is_unwanted);
    if let Some(location) = headers.remove(header::LOCATION)
        && let Some(location) = rewritten(&location, |text| relative(text, path))
    {
        headers.insert(header::LOCATION, location);
    }
    if let Some(link) = headers.remove(header::LINK)
        && let Some(link) = rewritten(&link, |text| relative_link(text, path))
    {
        headers.insert(header::LINK, link);
    }
    // The API server buffers HTML and rewrites what looks like links in it.
    let is_html = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().starts_with(b"text/html");
    if headers.get(header::CONTENT_TYPE).is_some_and(is_html) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    }
}

/// Removes what is of the connection, and more.
pub(crate) fn strip(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let unwanted: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let text = name.as_str();
            named.contains(name) || OF_THE_CONNECTION.contains(&text) || is_unwanted(text)
        })
        .cloned()
        .collect();
    for name in unwanted {
        headers.remove(name);
    }
}

fn rewritten(value: &HeaderValue, rewrite: impl Fn(&str) -> Option<String>) -> Option<HeaderValue> {
    HeaderValue::from_str(&rewrite(value.to_str().ok()?)?).ok()
}

/// Rewrites `<REFERENCE>; rel="next"`.
fn relative_link(link: &str, path: &str) -> Option<String> {
    let (reference, parameters) = link.strip_prefix('<')?.split_once('>')?;
    Some(format!("<{}>{parameters}", relative(reference, path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_registry_sees_no_token_and_no_credentials_of_the_client() {
        let mut request = headers(&[
            ("reposure-token", "secret"),
            ("reposure-async", "1"),
            ("authorization", "Bearer secret"),
            ("x-forwarded-uri", "/x"),
            ("x-http-method-override", "DELETE"),
            ("metadata-flavor", "Google"),
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("accept-encoding", "gzip"),
            ("accept", "a/b"),
            ("range", "bytes=0-1"),
            ("if-none-match", "x"),
            ("content-type", "c/d"),
        ]);
        to_registry(&mut request);
        let expected = headers(&[
            ("accept", "a/b"),
            ("range", "bytes=0-1"),
            ("if-none-match", "x"),
            ("content-type", "c/d"),
            ("accept-encoding", "identity"),
        ]);
        assert_eq!(request, expected);
    }

    #[test]
    fn the_client_sees_paths_only() {
        let mut answer = headers(&[
            ("location", "http://registry:5000/v2/a/blobs/uploads/1?_state=x"),
            ("link", "<https://registry:5000/v2/a/tags/list?n=1&last=b>; rel=\"next\""),
            ("content-type", "text/HTML; charset=utf-8"),
            ("www-authenticate", "Bearer realm=\"x\""),
            ("reposure-version", "9"),
        ]);
        to_client(&mut answer, "/v2/a/tags/list");
        let expected = headers(&[
            ("location", "/v2/a/blobs/uploads/1?_state=x"),
            ("link", "</v2/a/tags/list?n=1&last=b>; rel=\"next\""),
            ("content-type", "application/octet-stream"),
        ]);
        assert_eq!(answer, expected);
    }
}
