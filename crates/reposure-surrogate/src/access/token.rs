//! JSON Web Tokens of ServiceAccounts.
//!
//! See [RFC 7519](https://www.rfc-editor.org/rfc/rfc7519) and
//! [RFC 8725](https://www.rfc-editor.org/rfc/rfc8725), whose advice this follows: the algorithm is one of the key's own, and
//! audience, times and subject are checked each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reposure_parcel::limits::TOKEN_LEEWAY;
use serde::Deserialize;

use super::key::{Algorithm, PublicKey};

/// The longest token, in bytes. Those of Kubernetes have some 1,200.
pub(super) const TOKEN: usize = 8 << 10;

/// A token that was taken apart, not verified.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: String,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// What a token that was verified says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    sub: String,
    aud: Audience,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Header {
    alg: Algorithm,
    kid: String,
    /// Extensions that must be understood; none is.
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > TOKEN {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header.crit.is_some() {
            return None;
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(Self { algorithm: header.alg, key_id: header.kid, signed, payload, signature })
    }

    /// Returns the claims if the signature is right.
    pub(super) fn verify(&self, key: &PublicKey) -> Option<Claims> {
        key.verifies(self.algorithm, self.signed.as_bytes(), &self.signature)
            .then(|| serde_json::from_slice(&self.payload).ok())
            .flatten()
    }
}

impl Claims {
    /// Returns the subject, if the token is for `audience` and is good at `now`.
    pub(super) fn subject(&self, audience: &str, now: SystemTime) -> Option<&str> {
        let is_for = match &self.aud {
            Audience::One(one) => one == audience,
            Audience::Many(many) => many.iter().any(|one| one == audience),
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
        let leeway = TOKEN_LEEWAY.as_secs_f64();
        let begun = self.nbf.is_none_or(|nbf| now + leeway >= nbf);
        (is_for && begun && now < self.exp + leeway).then_some(self.sub.as_str())
    }
}
