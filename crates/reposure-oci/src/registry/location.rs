//! Paths that answers name.

use url::Url;

/// A host that is no host (RFC 2606), to resolve relative references against.
const BASE: &str = "http://registry.invalid";

/// A reference, resolved against the path of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Path and query.
    pub(crate) path: String,
    /// The host, if the reference names one.
    pub(crate) host: Option<String>,
}

/// Resolves a reference as [RFC 3986, section 5](https://www.rfc-editor.org/rfc/rfc3986#section-5) has it.
pub(crate) fn resolve(request: &str, reference: &str) -> Option<Resolved> {
    let base = Url::parse(BASE).ok()?.join(request).ok()?;
    let url = base.join(reference).ok()?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = (url.origin() != base.origin()).then(|| url.host_str().unwrap_or_default().into());
    path.starts_with('/').then(|| Resolved { path: path.into(), host })
}

/// Adds a parameter to a path, keeping the query that it has.
pub(crate) fn with_parameter(path: &str, name: &str, value: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}{name}={value}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(reference: &str) -> (String, Option<String>) {
        let resolved = resolve("/v2/a/blobs/uploads/", reference).unwrap();
        (resolved.path, resolved.host)
    }

    #[test]
    fn references_are_resolved() {
        assert_eq!(path("/v2/a/x?_state=a%2Fb%3D=&c"), ("/v2/a/x?_state=a%2Fb%3D=&c".into(), None));
        assert_eq!(path("x"), ("/v2/a/blobs/uploads/x".into(), None));
        assert_eq!(path("?n=1"), ("/v2/a/blobs/uploads/?n=1".into(), None));
        assert_eq!(path("http://r:5000/v2/x?y#z"), ("/v2/x?y".into(), Some("r".into())));
        assert_eq!(path("//r/v2/x"), ("/v2/x".into(), Some("r".into())));
        assert_eq!(resolve("/v2/", "mailto:a"), None);
    }

    #[test]
    fn parameters_are_added() {
        assert_eq!(with_parameter("/a", "digest", "d"), "/a?digest=d");
        assert_eq!(with_parameter("/a?b=c", "digest", "d"), "/a?b=c&digest=d");
    }

    proptest! {
        #[test]
        fn any_reference_gives_a_path_or_nothing(request in "/v2/[a-z/?=]{0,20}", reference in "(https?:)?[a-z:/?#@%.\\\\-]{0,30}|.{0,30}") {
            if let Some(resolved) = resolve(&request, &reference) {
                prop_assert!(resolved.path.starts_with('/'), "{:?}", resolved);
                // It can stand in a request.
                prop_assert!(resolved.path.parse::<http::uri::PathAndQuery>().is_ok(), "{:?}", resolved);
            }
        }
    }
}
