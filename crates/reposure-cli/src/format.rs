//! The formats of standard output.

use std::ffi::OsStr;

use clap::{
    Arg, Command, ValueEnum,
    builder::{EnumValueParser, PossibleValue, TypedValueParser},
    error::ErrorKind,
};

/// What the first Reposure wrote, and this one does not.
const OLD: [&str; 5] = ["xjson", "xml", "cbor", "messagepack", "go"];

/// How standard output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table, or plain lines
    Bare,
    /// A table with more columns
    Wide,
    /// Names alone
    Name,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Parses a [`Format`], and says of the ones of the first Reposure what to take instead.
#[derive(Clone)]
pub(crate) struct FormatParser;

impl TypedValueParser for FormatParser {
    type Value = Format;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Format, clap::Error> {
        match OLD.iter().find(|old| value == **old) {
            Some(old) => {
                let message = format!("output format {old} is not written any more: take json or yaml\n");
                Err(clap::Error::raw(ErrorKind::InvalidValue, message).with_cmd(command))
            }
            None => EnumValueParser::<Format>::new().parse_ref(command, argument, value),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Format::value_variants().iter().filter_map(ValueEnum::to_possible_value)))
    }
}
