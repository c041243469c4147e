//! Which headers pass the gate, and how they change.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::gateway::strip;

/// What a client says of the way to it, which only those say of whom the registry knows that they are right.
const FORWARDED: &str = "x-forwarded-";
/// The scheme that the client spoke, for the registry's own addresses.
const SCHEME: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Makes a client's headers the registry's: without the password, and without what the gate has met itself.
pub(super) fn to_registry(headers: &mut HeaderMap, is_over_tls: bool) {
    strip(headers, |name| {
        name == header::AUTHORIZATION.as_str()
            || name == header::EXPECT.as_str()
            || name == "x-real-ip"
            || name.starts_with(FORWARDED)
    });
    headers.insert(SCHEME, HeaderValue::from_static(if is_over_tls { "https" } else { "http" }));
}

/// Removes from a registry's answer what is of its connection.
pub(super) fn to_client(headers: &mut HeaderMap) {
    strip(headers, |_| false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_sees_no_password_and_the_gates_word_alone() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "registry:5000"),
            ("authorization", "Basic eA=="),
            ("expect", "100-continue"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "elsewhere"),
            ("connection", "close, x-own"),
            ("x-own", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("docker-upload-uuid", "1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        to_registry(&mut headers, true);
        let mut left: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        left.sort();
        let expected = [
            r#"content-length: "3""#,
            r#"docker-upload-uuid: "1""#,
            r#"host: "registry:5000""#,
            r#"x-forwarded-proto: "https""#,
        ];
        assert_eq!(left, expected);
    }
}
