//! What is secret in the configuration of the built-in registry.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use secrecy::{ExposeSecret as _, SecretString};

use super::{config::CONFIG_FILE, options::SimpleOptions};

/// The key of what signs the state of uploads.
const SIGNING_KEY: &str = "http-secret";
/// The key of the name by which the object store knows the registry.
const ACCESS_KEY: &str = "access-key";
/// The key of what proves it.
const SECRET_KEY: &str = "secret-key";

/// Why a Secret does not hold what is asked of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("its key {key} {problem}")]
pub struct KeysError {
    key: &'static str,
    problem: Problem,
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Missing,
    Empty,
    NoText,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "is missing",
            Self::Empty => "is empty",
            Self::NoText => "is no text of one line",
        })
    }
}

/// What is secret in the configuration of the built-in registry.
#[derive(Clone, Debug)]
pub struct SimpleKeys {
    /// What signs the state of uploads, the same for each of several pods.
    pub signing: SecretString,
    /// What opens the object store; none where the pod's own rights do.
    pub s3: Option<S3Keys>,
}

/// What opens an object store.
#[derive(Clone, Debug)]
pub struct S3Keys {
    /// The name by which the store knows the registry.
    pub access: SecretString,
    /// What proves it.
    pub secret: SecretString,
}

impl SimpleKeys {
    /// Draws what signs the state of uploads, for a registry that has nothing of it yet.
    pub fn random() -> Self {
        Self { signing: random(), s3: None }
    }

    /// Reads what signs the state of uploads from the registry's own Secret.
    ///
    /// # Errors
    /// [`KeysError`] if the Secret does not hold it.
    pub fn of(secret: &Secret) -> Result<Self, KeysError> {
        Ok(Self { signing: value(secret, SIGNING_KEY)?, s3: None })
    }
}

impl S3Keys {
    /// Reads them from a Secret of the user's.
    ///
    /// # Errors
    /// [`KeysError`] if the Secret does not hold both.
    pub fn of(secret: &Secret) -> Result<Self, KeysError> {
        Ok(Self { access: value(secret, ACCESS_KEY)?, secret: value(secret, SECRET_KEY)? })
    }
}

/// Returns the registry's Secret with what signs the state of uploads, drawn anew.
pub(super) fn signing_key(options: &SimpleOptions) -> Secret {
    of_values(options, &[(SIGNING_KEY, &random())])
}

/// Returns the registry's Secret.
pub(super) fn secret(options: &SimpleOptions, keys: &SimpleKeys, config: &SecretString) -> Secret {
    of_values(options, &[(SIGNING_KEY, &keys.signing), (CONFIG_FILE, config)])
}

fn of_values(options: &SimpleOptions, values: &[(&str, &SecretString)]) -> Secret {
    let bytes = |value: &SecretString| ByteString(value.expose_secret().as_bytes().to_vec());
    Secret {
        metadata: options.metadata(),
        data: Some(values.iter().map(|(key, value)| ((*key).into(), bytes(value))).collect()),
        ..Secret::default()
    }
}

fn random() -> SecretString {
    let bytes: [u8; 32] = rand::random();
    STANDARD_NO_PAD.encode(bytes).into()
}

/// Files and editors end text with a line break, which nobody means here.
fn value(secret: &Secret, key: &'static str) -> Result<SecretString, KeysError> {
    let failed = |problem| KeysError { key, problem };
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    let bytes = data.ok_or_else(|| failed(Problem::Missing))?;
    let text = std::str::from_utf8(&bytes.0).map_err(|_| failed(Problem::NoText))?.trim();
    match text {
        "" => Err(failed(Problem::Empty)),
        text if text.contains(char::is_control) => Err(failed(Problem::NoText)),
        text => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(values: &[(&str, &[u8])]) -> Secret {
        let data = values.iter().map(|(key, value)| ((*key).into(), ByteString(value.to_vec())));
        Secret { data: Some(data.collect()), ..Secret::default() }
    }

    #[test]
    fn keys_are_read_without_the_end_of_a_line() {
        let keys = S3Keys::of(&secret(&[(ACCESS_KEY, b"AKIA\n"), (SECRET_KEY, b"se/cret+")])).unwrap();
        assert_eq!((keys.access.expose_secret(), keys.secret.expose_secret()), ("AKIA", "se/cret+"));
    }

    #[test]
    fn what_a_secret_lacks_is_said() {
        let said = |values: &[(&str, &[u8])]| S3Keys::of(&secret(values)).unwrap_err().to_string();
        assert_eq!(said(&[]), "its key access-key is missing");
        assert_eq!(said(&[(ACCESS_KEY, b"a")]), "its key secret-key is missing");
        assert_eq!(said(&[(ACCESS_KEY, b"a"), (SECRET_KEY, b" \n")]), "its key secret-key is empty");
        for bad in [&b"\xff"[..], b"a\nb", b"a\0b"] {
            assert_eq!(said(&[(ACCESS_KEY, bad)]), "its key access-key is no text of one line");
        }
    }

    #[test]
    fn the_signing_key_is_read_back() {
        let kept = signing_key(&SimpleOptions::new("team"));
        let first = SimpleKeys::of(&kept).unwrap();
        assert_eq!(first.signing.expose_secret().len(), 43, "32 bytes in base64");
        assert_eq!(first.signing.expose_secret(), SimpleKeys::of(&kept).unwrap().signing.expose_secret());
        assert!(!format!("{first:?}").contains(first.signing.expose_secret()));
    }
}
