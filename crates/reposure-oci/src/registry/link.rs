//! `Link`, by which lists go on.
//!
//! See [RFC 8288, section 3](https://www.rfc-editor.org/rfc/rfc8288#section-3).

use http::{HeaderMap, header};

/// Returns the reference of the link to the next page.
pub(crate) fn next(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::LINK).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(links).find(|(_, parameters)| is_next(parameters)).map(|(reference, _)| reference.into())
}

/// Splits `<reference>; parameters, <reference>; parameters`.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('<').skip(1).filter_map(|link| link.split_once('>'))
}

fn is_next(parameters: &str) -> bool {
    parameters.split([';', ',']).any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel")
                && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_of(text: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LINK, text.parse().unwrap());
        next(&headers)
    }

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(
            next_of("</v2/_catalog?last=a&n=1>; rel=\"next\"").as_deref(),
            Some("/v2/_catalog?last=a&n=1")
        );
        assert_eq!(next_of("<a>; rel=prev, <b>;title=\"x\";Rel=\"last Next\"").as_deref(), Some("b"));
        assert_eq!(next_of("<a>; rel=prev"), None);
        assert_eq!(next_of("<a"), None);
    }
}
