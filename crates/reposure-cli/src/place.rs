//! Sources and targets on the command line.

use std::ffi::OsStr;

use clap::{
    Arg, Command,
    builder::{OsStringValueParser, TypedValueParser},
};
use reposure_oci::Place;

use crate::exit;

/// Parses a [`Place`], which may be a path that is no UTF-8.
#[derive(Clone)]
pub(crate) struct PlaceParser;

impl TypedValueParser for PlaceParser {
    type Value = Place;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Place, clap::Error> {
        let parse =
            |text: std::ffi::OsString| Place::from_argument(&text).map_err(|error| exit::chain(&error));
        OsStringValueParser::new().try_map(parse).parse_ref(command, argument, value)
    }
}

/// Returns a place as it is called in messages.
pub(crate) fn describe(place: &Place) -> String {
    match place {
        Place::Standard => "standard input".into(),
        place => place.to_string(),
    }
}
