//! `WWW-Authenticate`.
//!
//! See [RFC 9110, section 11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1). A header may hold several
//! challenges, and an answer several headers. What is malformed is skipped: a challenge that is understood beside one that
//! is not can still be met.

use http::{HeaderMap, header};

/// The most challenges that are read, and the most parameters of one: far more than any registry sends.
const LIMIT: usize = 16;

/// One challenge: a scheme with parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Reads every challenge of every `WWW-Authenticate` of an answer.
    pub fn all(headers: &HeaderMap) -> Vec<Self> {
        let values =
            headers.get_all(header::WWW_AUTHENTICATE).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(Self::parse).take(LIMIT).collect()
    }

    /// Reads the challenges of one header.
    pub fn parse(text: &str) -> Vec<Self> {
        let mut cursor = Cursor(text);
        let mut challenges: Vec<Self> = Vec::new();
        while let Some(word) = cursor.word() {
            let full = challenges.len() == LIMIT;
            match (cursor.value(), challenges.last_mut()) {
                (Some(value), Some(challenge)) => challenge.add(word, value),
                // A parameter before any scheme.
                (Some(_), None) => {}
                (None, _) if full => break,
                (None, _) => {
                    challenges.push(Self { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                }
            }
        }
        challenges
    }

    fn add(&mut self, name: &str, value: String) {
        if self.parameters.len() < LIMIT {
            self.parameters.push((name.to_ascii_lowercase(), value));
        }
    }

    /// Tells whether this is of a scheme, whose name is given in lower case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme == scheme
    }

    /// Returns the first parameter of a name, which is given in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// Returns the next token (RFC 9110, section 5.6.2), past anything that is none.
    fn word(&mut self) -> Option<&'a str> {
        let start = self.0.find(is_token)?;
        let rest = &self.0[start..];
        let (word, rest) = rest.split_at(rest.find(|c| !is_token(c)).unwrap_or(rest.len()));
        self.0 = rest;
        Some(word)
    }

    /// Returns the value if a `=` follows: a quoted string, or all up to a comma or space.
    fn value(&mut self) -> Option<String> {
        let rest = self.0.trim_start_matches(is_space).strip_prefix('=')?.trim_start_matches(is_space);
        if let Some(quoted) = rest.strip_prefix('"') {
            self.0 = quoted;
            return Some(self.quoted());
        }
        let (value, rest) = rest.split_at(rest.find(|c| c == ',' || is_space(c)).unwrap_or(rest.len()));
        self.0 = rest;
        Some(value.into())
    }

    /// Returns what stands before the closing quote; one that is missing is taken to be at the end.
    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut characters = self.0.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => value.extend(characters.next()),
                _ => value.push(character),
            }
        }
        self.0 = characters.as_str();
        value
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_header_may_hold_several_challenges() {
        let text =
            r#"bEaReR realm="https://r/token",service="a, \"b\"" , scope=x:y , Basic Realm = r, Negotiate"#;
        let challenges = Challenge::parse(text);
        assert_eq!(challenges.len(), 3);
        assert!(challenges[0].is("bearer") && challenges[1].is("basic") && challenges[2].is("negotiate"));
        let parameter = |name| challenges[0].parameter(name);
        assert_eq!(parameter("realm"), Some("https://r/token"));
        assert_eq!((parameter("service"), parameter("scope")), (Some("a, \"b\""), Some("x:y")));
        assert_eq!(challenges[1].parameter("realm"), Some("r"));
    }

    #[test]
    fn an_answer_may_hold_several_headers() {
        let mut headers = HeaderMap::new();
        headers.append(header::WWW_AUTHENTICATE, "Bearer realm=\"https://app/v2/token\"".parse().unwrap());
        headers.append(header::WWW_AUTHENTICATE, "Basic".parse().unwrap());
        let challenges = Challenge::all(&headers);
        assert!(challenges[0].is("bearer") && challenges[1].is("basic"));
    }

    fn challenge() -> impl Strategy<Value = Challenge> {
        let parameters = prop::collection::vec(("[a-z]{1,8}", "[ -~]{0,20}"), 0..6);
        ("[a-z]{1,10}", parameters).prop_map(|(scheme, parameters)| Challenge { scheme, parameters })
    }

    fn render(challenge: &Challenge) -> String {
        let quote = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
        let parameters =
            challenge.parameters.iter().map(|(name, value)| format!("{name}=\"{}\"", quote(value)));
        format!("{} {}", challenge.scheme, parameters.collect::<Vec<_>>().join(","))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(challenges in prop::collection::vec(challenge(), 0..5)) {
            let text = challenges.iter().map(render).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(Challenge::parse(&text), challenges);
        }

        #[test]
        fn anything_can_be_read(text in any::<String>()) {
            prop_assert!(Challenge::parse(&text).len() <= LIMIT);
        }
    }
}
