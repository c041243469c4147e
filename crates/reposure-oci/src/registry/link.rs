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
    use proptest::prelude::*;

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

    /// A reference as URLs are, and relations of which one may be `next`.
    fn link() -> impl Strategy<Value = (String, Vec<String>)> {
        let relation = prop_oneof!["next", "NEXT", "prev", "last", "nextish"];
        ("[a-z0-9/?&=%._~-]{1,30}", proptest::collection::vec(relation, 1..3))
    }

    proptest! {
        #[test]
        fn the_first_next_link_is_taken(links in proptest::collection::vec(link(), 0..5), title in "[a-z ;]{0,8}") {
            let is_next = |relations: &[String]| relations.iter().any(|text| text.eq_ignore_ascii_case("next"));
            let expected = links.iter().find(|(_, relations)| is_next(relations)).map(|(link, _)| link.clone());
            let render = |(link, relations): &(String, Vec<String>)| {
                format!("<{link}>; title=\"{title}\"; rel=\"{}\"", relations.join(" "))
            };
            let text = links.iter().map(render).collect::<Vec<_>>();
            prop_assert_eq!(next_of(&text.join(", ")), expected.clone());
            // In headers of their own.
            let mut headers = HeaderMap::new();
            for link in text {
                headers.append(header::LINK, link.parse().unwrap());
            }
            prop_assert_eq!(next(&headers), expected);
        }

        #[test]
        fn any_header_can_be_read(text in "[<>;,=\"a-z rel next]{0,60}|[ -~]{0,60}") {
            if let Some(reference) = next_of(&text) {
                let bracketed = format!("<{reference}>");
                prop_assert!(text.contains(&bracketed), "{}", reference);
            }
        }
    }
}
