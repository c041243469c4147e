//! How operators and surrogates write their logs.

use std::{fmt, str::FromStr};

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// An object a line, for programs.
    Json,
}

/// It is no name of a format.
#[derive(Debug, thiserror::Error)]
#[error("logs are written as text or json")]
pub struct LogFormatError;

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// Returns the format's name, as the programs take it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    /// Returns the arguments that ask operators and surrogates for `wanted`; none where each is to do as it does by itself.
    pub(crate) fn arguments(wanted: Option<Self>) -> Vec<String> {
        wanted.map(|format| vec![LOG_FORMAT.into(), format.as_str().into()]).unwrap_or_default()
    }
}

/// The argument that asks for a format.
pub const LOG_FORMAT: &str = "--log-format";

impl fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(name: &str) -> Result<Self, LogFormatError> {
        Self::ALL.into_iter().find(|format| format.as_str() == name).ok_or(LogFormatError)
    }
}
