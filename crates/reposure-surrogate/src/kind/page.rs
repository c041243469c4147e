//! Pages of a list of repositories.

use http::{HeaderValue, StatusCode, Uri, header};
use serde_json::json;
use url::form_urlencoded;

use crate::answer::{self, Answer};

/// The names on a page where nobody says how many.
const DEFAULT: usize = 100;
/// The most names on a page: their metadata, a few KiB each, are within what is read of one answer.
const LARGEST: usize = 250;

/// Which page is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The path that was asked for.
    path: String,
    /// How many names.
    pub(super) size: usize,
    /// The name that comes before it, where the client counts by names.
    pub(super) last: Option<String>,
    /// What the page before has called this one.
    pub(super) next: Option<String>,
}

impl Page {
    /// Reads the query of a request for a list.
    pub(super) fn of(uri: &Uri) -> Self {
        let (mut size, mut last, mut next) = (None, None, None);
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "n" => size = value.parse().ok(),
                "last" => last = Some(value.into_owned()),
                "next" => next = Some(value.into_owned()),
                _ => {}
            }
        }
        let size = size.unwrap_or(DEFAULT).clamp(1, LARGEST);
        // A page that has a name of its own begins where that says.
        let last = last.filter(|_| next.is_none());
        Self { path: uri.path().into(), size, last, next }
    }

    /// Answers with the names on this page, and says what the next one is called.
    pub(super) fn answer(&self, names: &[String], next: Option<&str>) -> Answer {
        let mut answer = answer::json(StatusCode::OK, &json!({"repositories": names}));
        if let Some(next) = next {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("n", &self.size.to_string())
                .append_pair("next", next)
                .finish();
            if let Ok(link) = HeaderValue::try_from(format!("<{}?{query}>; rel=\"next\"", self.path)) {
                answer.headers_mut().insert(header::LINK, link);
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(uri: &str) -> Page {
        Page::of(&uri.parse().unwrap())
    }

    #[test]
    fn sizes_have_bounds_and_a_named_page_needs_no_last() {
        assert_eq!(page("/v2/_catalog").size, DEFAULT);
        assert_eq!(page("/v2/_catalog?n=0").size, 1);
        assert_eq!(page("/v2/_catalog?n=100000").size, LARGEST);
        let named = page("/v2/_catalog?n=5&last=a%2Fb&next=x%3D");
        assert_eq!((named.last, named.next.as_deref()), (None, Some("x=")));
        assert_eq!(page("/v2/_catalog?last=a%2Fb").last.as_deref(), Some("a/b"));
    }

    #[test]
    fn the_next_page_is_found_by_what_the_link_says() {
        let answer = page("/v2/_catalog?n=2").answer(&["a/b".into()], Some("x=&y"));
        let link = answer.headers()[header::LINK].to_str().unwrap().to_owned();
        let uri = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
        assert_eq!(page(uri).next.as_deref(), Some("x=&y"));
        assert_eq!(page(uri).size, 2);
    }
}
