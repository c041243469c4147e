//! What a registry knows its users by.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// What docker sends an identity token with.
pub(crate) const TOKEN_USERNAME: &str = "<token>";

/// What a registry knows its users by.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Nothing.
    Anonymous,
    /// A name and a password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// A token that the registry itself takes.
    Bearer(SecretString),
    /// A token that the registry's realm exchanges for others (an OAuth refresh token).
    IdentityToken {
        /// The name to send it with as a password, where the realm does not exchange; docker says `<token>`.
        username: String,
        /// The token.
        token: SecretString,
    },
}

impl Credentials {
    /// Returns the `Authorization` of name and password, where there are such.
    pub(crate) fn basic(&self) -> Option<HeaderValue> {
        match self {
            Self::Basic { username, password: secret } | Self::IdentityToken { username, token: secret } => {
                let pair = STANDARD.encode(format!("{username}:{}", secret.expose_secret()));
                authorization("Basic", &pair)
            }
            Self::Anonymous | Self::Bearer(_) => None,
        }
    }

    /// Tells whether these are the same credentials.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anonymous, Self::Anonymous) => true,
            (Self::Bearer(mine), Self::Bearer(theirs)) => mine.expose_secret() == theirs.expose_secret(),
            (Self::Basic { .. }, Self::Basic { .. })
            | (Self::IdentityToken { .. }, Self::IdentityToken { .. }) => self.basic() == other.basic(),
            _ => false,
        }
    }
}

/// Returns an `Authorization`; none for text that no header can hold.
pub(crate) fn authorization(scheme: &str, credentials: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("{scheme} {credentials}")).ok()?;
    // Keeps it out of logs and out of HTTP/2's compression tables.
    value.set_sensitive(true);
    Some(value)
}

/// Reads a secret; an empty one is none.
pub(crate) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(password: &str) -> Credentials {
        Credentials::Basic { username: "ann".into(), password: password.into() }
    }

    #[test]
    fn debug_shows_no_secret() {
        let credentials = [
            basic("hush"),
            Credentials::Bearer("hush".into()),
            Credentials::IdentityToken { username: "ann".into(), token: "hush".into() },
        ];
        assert!(!format!("{credentials:?}").contains("hush"));
        assert!(!format!("{:?}", basic("hush").basic()).contains("YW5uOmh1c2g="));
    }

    #[test]
    fn basic_is_base64_of_name_and_password() {
        assert_eq!(basic("hush").basic().unwrap(), "Basic YW5uOmh1c2g=");
        assert!(basic("a").same(&basic("a")) && !basic("a").same(&basic("b")));
    }
}
