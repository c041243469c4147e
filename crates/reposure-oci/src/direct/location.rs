//! `Location`s of answers that are no redirects: where an upload goes on.

use http::{HeaderValue, Response, Uri, header, uri::PathAndQuery};

use crate::endpoint::Endpoint;

/// Takes scheme and host from a `Location` on the registry's own host, so that it means the same over any channel.
///
/// A registry behind a proxy that ends TLS names itself `http://`; the path alone is dialled as before, so that nothing is
/// sent in the clear. A `Location` of another host stays as it is: it is for the registry client to refuse it.
pub(crate) fn make_relative<B>(answer: &mut Response<B>, registry: &Endpoint) {
    if let Some(path) = own_path(answer, registry)
        && let Ok(value) = HeaderValue::try_from(path.as_str())
    {
        answer.headers_mut().insert(header::LOCATION, value);
    }
}

fn own_path<B>(answer: &Response<B>, registry: &Endpoint) -> Option<PathAndQuery> {
    let uri: Uri = answer.headers().get(header::LOCATION)?.to_str().ok()?.parse().ok()?;
    let own = uri.authority().is_some() && registry.is_host_of(&uri);
    uri.into_parts().path_and_query.filter(|_| own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Scheme;

    fn relative(location: &str) -> String {
        let mut answer = Response::builder().header(header::LOCATION, location).body(()).unwrap();
        make_relative(&mut answer, &Endpoint::new(Scheme::Https, "r:5000").unwrap());
        answer.headers()[header::LOCATION].to_str().unwrap().into()
    }

    #[test]
    fn only_the_registrys_own_host_is_taken_off() {
        assert_eq!(relative("https://r:5000/v2/a?_state=1"), "/v2/a?_state=1");
        assert_eq!(relative("http://r:5000/v2/a?_state=1"), "/v2/a?_state=1");
        assert_eq!(relative("/v2/a"), "/v2/a");
        assert_eq!(relative("https://other/v2/a"), "https://other/v2/a");
        assert_eq!(relative("https://r/v2/a"), "https://r/v2/a");
    }
}
