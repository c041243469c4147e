//! Parses any text as each kind of name. What is a name is written as it is read.

#![no_main]

use std::{fmt::Display, str::FromStr};

use libfuzzer_sys::fuzz_target;
use reposure_oci::{Digest, Endpoint, ImageName, Reference, RepositoryName, Scheme, Tag};

fuzz_target!(|text: &str| {
    stays::<Digest>(text);
    stays::<RepositoryName>(text);
    stays::<Tag>(text);
    stays::<Reference>(text);
    if let Ok(name) = text.parse::<ImageName>() {
        // A tag is added where there is none, and left out where there is a digest.
        stays::<ImageName>(&name.to_string());
    }
    stays::<Endpoint>(text);
    if let Ok(endpoint) = Endpoint::new(Scheme::Https, text) {
        assert_eq!(endpoint.host(), text);
    }
});

fn stays<T: FromStr + Display>(text: &str) {
    if let Ok(name) = text.parse::<T>() {
        assert_eq!(name.to_string(), text);
    }
}
