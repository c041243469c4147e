//! Which paths of the registry may be asked for.

use http::Uri;
use reposure_parcel::problem::{Code, Problem};

/// The longest path, in bytes: a repository name of 255, a digest of 135, and the words between take 430.
const PATH: usize = 1024;
/// The longest query, in bytes: the state that Distribution keeps in an upload's place takes some 1,200.
const QUERY: usize = 8 << 10;

/// Checks that a request is for the registry's API and means one thing only, whoever reads it.
///
/// The API server decodes and cleans paths on the way, a registry may do so once more, and what stands between them too.
pub(super) fn check(uri: &Uri) -> Result<(), Problem> {
    let bad = |message: &str| Err(Problem::new(Code::BadRequest, message));
    let path = uri.path();
    if path.len() > PATH || uri.query().is_some_and(|query| query.len() > QUERY) {
        return bad("the path or query is too long");
    }
    let Some(rest) = path.strip_prefix("/v2/") else {
        return bad("the path is not below /v2/");
    };
    if !rest.bytes().all(is_plain) {
        return bad("the path holds a character that no name, tag or digest does");
    }
    let inner = rest.strip_suffix('/').unwrap_or(rest);
    if !rest.is_empty() && inner.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return bad("the path holds an empty or relative segment");
    }
    if !is_of_the_api(rest) {
        return bad("the path is none of the distribution API");
    }
    Ok(())
}

/// Tells what the API has from what else registries have below `/v2/`, such as the `token` and `auth` of some, where the
/// surrogate's credentials would give whoever may but read a token with every right.
fn is_of_the_api(rest: &str) -> bool {
    const FOLDERS: [&str; 4] = ["/manifests/", "/blobs/", "/tags/", "/referrers/"];
    matches!(rest, "" | "_catalog") || FOLDERS.iter().any(|folder| rest.contains(folder))
}

/// No percent sign: nothing in a path of the API needs one, and an encoded slash or dot is an attack.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-:~=+,@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_paths_of_the_api() {
        for uri in [
            "/v2/",
            "/v2/_catalog?n=5&last=a%2Fb",
            "/v2/a/b/manifests/v1.2_x-y",
            "/v2/a/manifests/sha256:00",
            "/v2/a/tags/list",
            "/v2/a/referrers/sha256:00",
            "/v2/a/blobs/uploads/",
            "/v2/a/blobs/uploads/5f0c-11?_state=x_y%3D%3D",
        ] {
            assert!(check(&uri.parse().unwrap()).is_ok(), "{uri}");
        }
    }

    #[test]
    fn refuses_what_may_mean_something_else() {
        for uri in [
            "/",
            "/v2",
            "/v20/",
            "/reposure/v1/hello",
            "/v2/../metrics",
            "/v2/a/../../x",
            "/v2/./a",
            "/v2//a",
            "/v2//",
            "/v2/a//b",
            "/v2/a/..",
            "/v2/%2e%2e/metrics",
            "/v2/a%2Fb",
            "/v2/a%2fb",
            "/v2/a%5cb",
            "/v2/a%00",
            "/v2/a;x=y",
            "/v2/auth?service=x&scope=repository:a:push",
            "/v2/token",
            "/v2/manifests/x",
        ] {
            assert!(check(&uri.parse().unwrap()).is_err(), "{uri}");
        }
        assert!(check(&format!("/v2/{}", "a".repeat(PATH)).parse().unwrap()).is_err());
        assert!(check(&format!("/v2/?{}", "a".repeat(QUERY + 1)).parse().unwrap()).is_err());
    }
}
