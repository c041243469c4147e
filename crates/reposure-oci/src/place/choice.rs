use std::{fmt, str::FromStr};

use super::PlaceError;

/// One image of those that an archive or a layout holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The one of this name, whole or, in a layout, as the layout has it.
    Name(String),
    /// `@N`: the one at this position, from 0.
    Position(usize),
}

impl FromStr for Choice {
    type Err = PlaceError;

    /// Parses `@N`, or else a name, which is any text that is not empty: layouts hold names of every kind.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let none = || PlaceError::Choice(text.into());
        match text.strip_prefix('@') {
            // Not what `usize` takes beside digits: a sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map(Self::Position).map_err(|_| none())
            }
            Some(_) => Err(none()),
            None if text.is_empty() => Err(none()),
            None => Ok(Self::Name(text.into())),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Position(position) => write!(formatter, "@{position}"),
        }
    }
}
