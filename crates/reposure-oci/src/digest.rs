//! Content digests: `sha256:…` and `sha512:…`.
//!
//! See the [image specification, "Digests"](https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests).
//!
//! # Examples
//! ```
//! use reposure_oci::{Algorithm, Digest, Digester};
//!
//! let mut digester = Digester::new(Algorithm::Sha256);
//! digester.update(b"he");
//! digester.update(b"llo");
//! assert_eq!(digester.finish(), Digest::sha256_of("hello"));
//! ```

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256, Sha512};

/// A registered digest algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, which every registry takes.
    Sha256,
    /// SHA-512, which few registries take.
    Sha512,
}

impl Algorithm {
    /// Returns the algorithm's name as it stands before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The digest of some bytes, `ALGORITHM:HEX`, always valid and in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

/// Why a string is no digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DigestError {
    /// There is no colon between algorithm and hexadecimal digits.
    #[error("digest {0:?} has no colon: expected ALGORITHM:HEX")]
    NoColon(String),
    /// The algorithm is neither `sha256` nor `sha512`.
    #[error("digest {0:?} is of an unknown algorithm: sha256 and sha512 are known")]
    UnknownAlgorithm(String),
    /// The digits are too few, too many, or not lower-case hexadecimal.
    #[error("digest {0:?} is malformed: expected {1} lower-case hexadecimal digits")]
    Malformed(String, usize),
}

impl Digest {
    /// Computes the SHA-256 digest of `bytes`.
    pub fn sha256_of(bytes: impl AsRef<[u8]>) -> Self {
        let mut digester = Digester::new(Algorithm::Sha256);
        digester.update(bytes.as_ref());
        digester.finish()
    }

    /// Returns the algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the lower-case hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, hex) = text.split_once(':').ok_or_else(|| DigestError::NoColon(text.into()))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(DigestError::UnknownAlgorithm(text.into())),
        };
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() != algorithm.hex_length() || !hex.bytes().all(is_hex) {
            return Err(DigestError::Malformed(text.into(), algorithm.hex_length()));
        }
        Ok(Self { algorithm, hex: hex.into() })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Computes a [`Digest`] of bytes that come piece by piece.
#[derive(Clone, Debug)]
pub struct Digester(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Digester {
    /// Starts a digest.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// Ends the digest.
    pub fn finish(self) -> Digest {
        let (algorithm, bytes) = match self.0 {
            State::Sha256(state) => (Algorithm::Sha256, state.finalize().to_vec()),
            State::Sha512(state) => (Algorithm::Sha512, state.finalize().to_vec()),
        };
        Digest { algorithm, hex: to_hex(&bytes) }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn computes_the_digest_of_the_empty_json_object() {
        // The image specification names this one, for the empty descriptor.
        let expected = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(Digest::sha256_of("{}").to_string(), expected);
        assert_eq!(expected.parse::<Digest>().unwrap(), Digest::sha256_of("{}"));
    }

    #[test]
    fn refuses_what_is_no_digest() {
        for text in ["", "sha256", "md5:00", "sha256:", "sha256:AB", &format!("sha256:{}", "A".repeat(64))] {
            assert!(text.parse::<Digest>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn digests_are_written_as_they_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..100), at in 0usize..135, other in any::<char>()) {
            for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
                let mut digester = Digester::new(algorithm);
                digester.update(&bytes);
                let digest = digester.finish();
                let text = digest.to_string();
                prop_assert_eq!(text.parse::<Digest>().unwrap(), digest);
                let changed: String =
                    text.chars().enumerate().map(|(index, c)| if index == at { other } else { c }).collect();
                let is_digit = matches!(other, '0'..='9' | 'a'..='f');
                prop_assert_eq!(changed.parse::<Digest>().is_ok(), changed == text || at >= 7 && is_digit);
            }
        }

        #[test]
        fn pieces_make_the_digest_of_the_whole(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..5)) {
            let mut digester = Digester::new(Algorithm::Sha256);
            for piece in &pieces {
                digester.update(piece);
            }
            prop_assert_eq!(digester.finish(), Digest::sha256_of(pieces.concat()));
        }

        #[test]
        fn any_text_is_a_digest_or_an_error(text in "(sha256|sha512|md5)?:?[0-9a-fA-F]{0,130}|.{0,80}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
