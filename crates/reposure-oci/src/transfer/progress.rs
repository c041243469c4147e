//! Events of a push or pull, for whoever shows them.
//!
//! The sender never waits: an event is sent for each piece at most, so a slow reader holds back some hundred bytes for each
//! 4 MiB that are moved.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// How a blob came into a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It was there.
    Existed,
    /// The registry mounted it from another repository.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A part of an image is being worked on.
    Began {
        /// Its number in this push or pull.
        part: usize,
        /// A short name.
        label: String,
        /// Its size in bytes, once known.
        size: Option<u64>,
    },
    /// A part was compressed, and its size is known.
    Sized {
        /// Its number.
        part: usize,
        /// Its size in bytes.
        size: u64,
    },
    /// Bytes of a part arrived.
    Advanced {
        /// Its number.
        part: usize,
        /// How many bytes more.
        bytes: u64,
    },
    /// A part starts again from its beginning.
    Restarted {
        /// Its number.
        part: usize,
    },
    /// A part is where it belongs.
    Finished {
        /// Its number.
        part: usize,
        /// How it came there.
        how: How,
    },
    /// Something failed and is tried again.
    Retrying {
        /// What failed, for people.
        problem: String,
    },
}

/// The sending side of the events.
#[derive(Clone, Debug)]
pub struct Progress(Option<mpsc::UnboundedSender<Event>>);

impl Progress {
    /// Returns a sender and the receiver of its events.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(sender)), receiver)
    }

    /// Returns a sender whose events nobody sees.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Sends an event, unless nobody wants to know.
    pub fn send(&self, event: Event) {
        if let Some(sender) = &self.0 {
            // A receiver that is gone no longer wants to know.
            let _ = sender.send(event);
        }
    }
}
