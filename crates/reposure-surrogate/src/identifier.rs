//! Identifiers of uploads and results: who does not know one cannot guess it.

use std::{fmt, str::FromStr};

use http::HeaderValue;

/// The length of an identifier, in hexadecimal digits: 128 random bits.
const LENGTH: usize = 32;

/// A random identifier of letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identifier(String);

/// The text is no identifier.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoIdentifier;

impl Identifier {
    pub(crate) fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("letters and digits are a header's value")
    }
}

impl FromStr for Identifier {
    type Err = NoIdentifier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid =
            text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if valid { Ok(Self(text.into())) } else { Err(NoIdentifier) }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
