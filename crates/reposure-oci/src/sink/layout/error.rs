//! Why an OCI layout in a folder cannot be added to.

use std::{io, path::PathBuf, time::Duration};

use tokio::task::JoinError;

use crate::{archive::StoreError, digest::Digest};

/// Why an OCI layout in a folder cannot be added to.
#[derive(Debug, thiserror::Error)]
pub enum LayoutWriteError {
    /// What is at the path is no folder, or a folder with something else in it.
    #[error("{0} is there already, and is no OCI layout")]
    NotALayout(PathBuf),
    /// The layout is of a version that is unknown here.
    #[error("the OCI layout {path} is of version {version:?}, where 1.0.0 is known")]
    Version {
        /// The folder.
        path: PathBuf,
        /// What it says.
        version: String,
    },
    /// What is in the folder cannot be read.
    #[error("the OCI layout {path} cannot be added to")]
    Store {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: StoreError,
    },
    /// The layout's list of images has not the form of one.
    #[error("{0} is no list of images")]
    Index(PathBuf),
    /// The layout's list of images would be larger than readers take.
    #[error("{path} would have {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// The list.
        path: PathBuf,
        /// Its size in bytes.
        size: usize,
        /// What it may have, in bytes.
        limit: usize,
    },
    /// A folder that is to be written into is a link that leads out of the layout.
    #[error("{0} leads out of the OCI layout: nothing is written there")]
    Outside(PathBuf),
    /// A file or folder cannot be made, or brought to the disk.
    #[error("cannot write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The name is that of another repository's image, which would be lost from the list.
    #[error("the OCI layout {path} has another image {name:?}")]
    NameTaken {
        /// The folder.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// Another process holds the layout's lock.
    #[error("another process has been changing {path} for {} s", .waited.as_secs())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// A blob that an image needs is not in the folder, or has another size.
    #[error("blob {digest} is not in the OCI layout {path}")]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The blob.
        digest: Digest,
    },
    /// The thread that works on the folder ended early.
    #[error("the work on {path} was broken off")]
    Broken {
        /// The folder.
        path: PathBuf,
        /// What happened.
        #[source]
        source: JoinError,
    },
}
