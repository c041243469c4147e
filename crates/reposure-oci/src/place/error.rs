use crate::{endpoint::EndpointError, name::NameError};

/// Why a text is no [`Place`](super::Place).
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// There is no path where one must be.
    #[error("a path is missing")]
    NoPath,
    /// What should choose an image does not.
    #[error("{0:?} chooses no image: write its name, or @N for the Nth from 0")]
    Choice(String),
    /// The text is no name of an image in a daemon.
    #[error("{0:?} is no image of a daemon: write NAME[:TAG], NAME@DIGEST or an image's ID")]
    Local(String),
    /// The text names no image of a registry.
    #[error("{0:?} is no image of a registry: write HOST[:PORT]/NAME[:TAG] or HOST[:PORT]/NAME@DIGEST")]
    Remote(String),
    /// The host of a registry is malformed.
    #[error("{text:?} is no image of a registry")]
    Host {
        /// The whole text.
        text: String,
        /// What is wrong with the host.
        #[source]
        source: EndpointError,
    },
    /// The name of an image of a registry is malformed.
    #[error("{text:?} is no image of a registry")]
    Name {
        /// The whole text.
        text: String,
        /// What is wrong with the name.
        #[source]
        source: NameError,
    },
}

impl PartialEq for PlaceError {
    /// Compares what is said.
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
