//! Exit codes, and what an error says: what was being done, why it failed, and what to try.

mod classify;
mod hints;
mod report;

use std::{error::Error as StdError, fmt};

pub(crate) use classify::kind;
pub(crate) use hints::{API_SERVER, LOG_IN, ONE_PLATFORM, OTHER_CHANNEL, hint};
pub(crate) use report::{chain, line, report, warn};

/// What kind of failure ended the command. The codes are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Anything that has no code of its own. 1.
    Other,
    /// The command line is wrong, or what it names cannot be used. 2.
    Usage,
    /// A registry, image, file or other object that was named is not there. 3.
    NotFound,
    /// A right is missing. 4.
    Denied,
    /// API server, surrogate or registry cannot be reached. 5.
    Unreachable,
    /// Bytes are not what their digest says, or an archive is malformed. 6.
    Verification,
    /// An object is in the way. 7.
    Conflict,
}

impl Kind {
    /// Returns the exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Denied => 4,
            Self::Unreachable => 5,
            Self::Verification => 6,
            Self::Conflict => 7,
        }
    }
}

/// An error of the command's own, with what to try. Its kind is its own or else its cause's.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Option<Kind>,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind: Some(kind), message: message.into(), hint: None, source: None }
    }

    /// Says what was being done when `source` happened.
    pub(crate) fn because(message: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { kind: None, message: message.into(), hint: None, source: Some(Box::new(source)) }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Ctrl-C.
pub(crate) fn interrupted() -> anyhow::Error {
    Failure::new(Kind::Other, "interrupted").into()
}
