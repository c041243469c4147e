//! Until when a token is good.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Claims {
    /// Seconds, with a fraction in some.
    exp: f64,
}

/// Returns the `exp` of a JSON Web Token; none of any other token.
pub(super) fn end(token: &str) -> Option<Timestamp> {
    let mut parts = token.trim().split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    // What is beyond any calendar says nothing.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a conversion of floats saturates, and the calendar is shorter"
    )]
    let seconds = claims.exp as i64;
    Timestamp::from_second(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn tokens_say_when_they_end() {
        let end = |claims: &str| end(&token(claims)).map(Timestamp::as_second);
        assert_eq!(end(r#"{"sub":"a","exp":1700000000}"#), Some(1_700_000_000));
        assert_eq!(end(r#"{"exp":1700000000.9}"#), Some(1_700_000_000));
        for other in [r#"{"sub":"a"}"#, r#"{"exp":"soon"}"#, r#"{"exp":1e300}"#, "exp", ""] {
            assert_eq!(end(other), None, "{other}");
        }
    }

    #[test]
    fn other_tokens_say_nothing() {
        for other in ["", "sha256~abc", "a.b.c", "a.b", "..."] {
            assert_eq!(super::end(other), None, "{other}");
        }
    }
}
