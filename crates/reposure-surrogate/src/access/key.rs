//! Public keys that tokens are signed by, as JSON Web Keys.
//!
//! See [RFC 7517](https://www.rfc-editor.org/rfc/rfc7517) and [RFC 7518](https://www.rfc-editor.org/rfc/rfc7518).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

/// A signature algorithm that Kubernetes clusters use. There is none for `none`, nor for shared secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "RS384")]
    Rs384,
    #[serde(rename = "RS512")]
    Rs512,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
}

/// A public key of one kind, which is used for the algorithms of that kind alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
}

/// A key as it stands in a set.
#[derive(Debug, Deserialize)]
pub(super) struct JsonWebKey {
    #[serde(default)]
    pub(super) kid: Option<String>,
    kty: String,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl JsonWebKey {
    /// Reads the key, if it is of a kind that is known here.
    pub(super) fn read(&self) -> Option<PublicKey> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                Some(PublicKey::Rsa { modulus: decode(self.n.as_ref())?, exponent: decode(self.e.as_ref())? })
            }
            ("EC", Some("P-256")) => self.point(32).map(PublicKey::P256),
            ("EC", Some("P-384")) => self.point(48).map(PublicKey::P384),
            _ => None,
        }
    }

    /// Returns the point, uncompressed, of coordinates of `length` bytes.
    fn point(&self, length: usize) -> Option<Vec<u8>> {
        let (x, y) = (decode(self.x.as_ref())?, decode(self.y.as_ref())?);
        (x.len() == length && y.len() == length).then(|| [&[4][..], &x, &y].concat())
    }
}

impl PublicKey {
    /// Tells whether the signature is right.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let rsa = |parameters: &RsaParameters| match self {
            Self::Rsa { modulus: n, exponent: e } => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            _ => false,
        };
        match (algorithm, self) {
            (Algorithm::Rs256, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            (Algorithm::Rs384, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            (Algorithm::Rs512, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            (Algorithm::Es256, Self::P256(point)) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
                    .is_ok()
            }
            (Algorithm::Es384, Self::P384(point)) => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
                    .verify(message, signature)
                    .is_ok()
            }
            _ => false,
        }
    }
}

fn decode(text: Option<&String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok()
}
