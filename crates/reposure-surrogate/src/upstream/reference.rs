//! References to the registry's own paths.

use url::Url;

/// Resolves the absolute or relative reference in an answer to a request for `path`, and returns its path and query.
///
/// Its host does not matter: some registries name themselves as they are known outside of the cluster.
pub(crate) fn relative(reference: &str, path: &str) -> Option<String> {
    // The base's host never shows.
    let base = Url::parse("http://registry.invalid").ok()?.join(path).ok()?;
    let url = base.join(reference).ok()?;
    url.path().starts_with('/').then(|| url[url::Position::BeforePath..url::Position::AfterQuery].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lose_their_host_and_keep_their_query() {
        let path = "/v2/a/blobs/uploads/";
        for (reference, expected) in [
            (
                "http://outside.example:5000/v2/a/blobs/uploads/1?_state=x%3D",
                "/v2/a/blobs/uploads/1?_state=x%3D",
            ),
            ("/v2/a/blobs/uploads/1", "/v2/a/blobs/uploads/1"),
            ("1?x=y", "/v2/a/blobs/uploads/1?x=y"),
            ("//evil.example/v2/x", "/v2/x"),
        ] {
            assert_eq!(relative(reference, path).as_deref(), Some(expected), "{reference}");
        }
        assert_eq!(relative("mailto:x", path), None);
    }
}
