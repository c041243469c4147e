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

#[cfg(test)]
mod tests {
    use super::*;

    // Made by `openssl genrsa 2048`, `openssl ecparam -name secp384r1 -genkey`, and `openssl dgst -sha256 -sign` of `message`.
    const MODULUS: &str = "2DaIfnmtpWvf3mjeLfCxl43GPO-vft-Ky9pgGZHhpmHdIE6rWPNpwheISjbnenbY4Rdkyg8RLW_oXn93UmxP32hQ6y\
        LOclmaJMlWvE2lixlN6e3juHW0H1BQyVsbLzR2nKpM72OZNuVXlRqLMXxQSS-oFvDnPCYKNN7FUBwi5YXyeUw9w7ba\
        9Zu9LPIWKFvbT429DXD-BtJUIMd-pp-mCMiZauRw0RGGDk7VimLLhSZqXqgpv4Oh4IixhMao37P9vHY0k3igpAHYzS\
        wwEeBbwJtQg0Ct_kU0j9KUVnVg4FEdMz1RgncsmCteCcvJdCYxxNVkOxvDMdSZSTMH1tSOCQ";
    const RS256: &str = "BIs2OhTC9V-wthqqxaqznhluzP-b1xl0NVjE5-AwuLvj_35dYgtI71LaKHX3LpRNSYh2C74tcogzm-F0xJ4cap12Mw\
        2o6vexj-VahII_JswmE_2NqweYh3MLSgPkFP8ckJct9SaGOpQUhPurl2dclentr-RbiFZhtOF7gwnAjtwVf5pJOBqt\
        2Zimv-CpW5qJkxw54KzsmHbwR546O2VRjT3F-9FDfr6bcdBihFIKIynYiz8LGmih9JB6coq0aF2lUT8G0p_A8ARBml\
        kL0JBweo3RPRx1RMrgM2rRrT_3CzFBKPQNO74Beia59fgIahB6HwJhp7xZLeMYkrLK-8AghQ";
    const RS384: &str = "NwQ2P0ZUVVHLKjUtGmF1yUrkUOHP-7exXccNSX2ubJAUn17i2RYl0BgFD-nHGNrFlmUH_4vR8nSZoigOD4MZ5s4Iuf\
        kTjjQS3i0yTljXxC4yG0NhIdQUzC9lYo5jXnVmRy6q_tgML8eaucLLsql_ZTm29d1iGQMTqvCKyy2NEhpAOkCeEbCd\
        ms8q-2D9CFn3UAh14gE7WJOwDtPL28d0jG6JaJmcn1HHHZiialFzWmDr4AzIe1AxSVGG3hcd0xG3cKjXbg54avPhpW\
        PaD6505HjYPHkzOlSH1GsNtrSHIRnYR_CkafNFuXSIQrow84VGFM99dJX_UlkoNHZhFjyPzA";
    const RS512: &str = "DTqWJ8t2kdDPd5DkVnBvDbtdIKirLP77YDgzmnpwbo7gMagOCx4SjSDjKZMDoPSi6OO2uCsG3sCXvqEKTBEOxMGj_f\
        dXbXdsAgG_GDh6pm38OBMy8WDbj51b0dFqdyfGMi8iDxna3VM-xfGTjqF6p6rVmOZZz5KsYwbxXR-gTdyqXZNJonJx\
        OKf-3UbYcmaS_wqSUdKvD7lqS__1nP1jD6HRpj0fWi4HVhh0tJxGsxZP_O-B13Xs8aWfwgnm8crfIG4jeINc3G8IJC\
        5sdYNUPlXfLlPlqFkkyV3U-dykClo1dbZ4ViCitnwDX2Y5SbBooQ3pWs-6grAEXmRKQzBSmA";
    const X: &str = "PzoDgOlwvfnTAEYioImQjznqYQ6pL4yq1uUUdSGCIGebUcMcAIdEVKG5qf9rMC2r";
    const Y: &str = "IO7XK9wm4xmieF_d_ZR1TGoEt8bIpUYTHC0n9qW6FKBe6d-0g_Dpuw05wR_vwuaV";
    const ES384: &str = "NgLEg5jBO758sjxzOrewX2M-xzJdBxx2au00k9G7hi7jLwPCp4d1Yoi5qf9_xBmFWIyvf88aG0ijkWYVNh-I4mQCi4\
        yWtEIRMeDMRDqkw9HvusmTywIpEYtEwPJ2AGvt";

    fn key(json: &str) -> Option<PublicKey> {
        serde_json::from_str::<JsonWebKey>(json).unwrap().read()
    }

    fn verifies(key: &PublicKey, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        key.verifies(algorithm, message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
    }

    #[test]
    fn verifies_what_openssl_signs() {
        let rsa = key(&format!(r#"{{"kty":"RSA","n":"{MODULUS}","e":"AQAB"}}"#)).unwrap();
        let curve = key(&format!(r#"{{"kty":"EC","crv":"P-384","x":"{X}","y":"{Y}"}}"#)).unwrap();
        for (key, algorithm, signature) in [
            (&rsa, Algorithm::Rs256, RS256),
            (&rsa, Algorithm::Rs384, RS384),
            (&rsa, Algorithm::Rs512, RS512),
            (&curve, Algorithm::Es384, ES384),
        ] {
            assert!(verifies(key, algorithm, "message", signature), "{algorithm:?}");
            assert!(!verifies(key, algorithm, "another message", signature), "{algorithm:?}");
        }
        assert!(!verifies(&rsa, Algorithm::Rs384, "message", RS256));
        assert!(
            !verifies(&curve, Algorithm::Es256, "message", ES384),
            "a key is good for its own algorithm alone"
        );
        assert!(!verifies(&rsa, Algorithm::Es384, "message", ES384));
    }

    #[test]
    fn leaves_keys_out_that_are_of_no_use() {
        for json in [
            r#"{"kty":"oct","k":"AAAA"}"#,
            r#"{"kty":"RSA","n":"AAAA"}"#,
            r#"{"kty":"RSA","n":"not base64!","e":"AQAB"}"#,
            r#"{"kty":"EC","crv":"P-521","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#,
        ] {
            assert_eq!(key(json), None, "{json}");
        }
    }
}
