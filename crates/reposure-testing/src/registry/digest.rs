//! SHA-256 digests as text.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Returns `sha256:HEX` of bytes.
pub fn sha256(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
