//! `PUT /v2/REPOSITORY/manifests/REFERENCE` with [`HEADER`]: a manifest that waits for its blobs.
//!
//! A client that has sent the last blobs of an image on their way sends the manifest behind them, and does not wait for their answers first:
//! on a long way each round trip counts. The surrogate passes it on when the registry has confirmed each blob that the header names, in
//! that repository, and not before. Where one of them does not come within [`PATIENCE`] the answer is a transient problem, nothing was
//! passed on, and the manifest is sent again once the blobs are there.
//!
//! A surrogate that does not know the header would pass the manifest on at once, so it must have named the [`CAPABILITY`].

use std::time::Duration;

use reposure_oci::Digest;

/// How a surrogate's hello names it.
pub const CAPABILITY: &str = "manifestAfter";
/// Names the blobs: their digests, separated by commas.
pub const HEADER: &str = "reposure-after";
/// The most blobs that it names: as many as are pushed at once, in less than 2 KiB.
pub const MOST: usize = 24;
/// The longest manifest that waits, in bytes, since it does so in memory: that of an image with so few layers has some KiB.
pub const LONGEST: usize = 64 << 10;
/// How long the manifest waits. The registry's answer to it may then take as long again until the client is told to come back, and
/// middle boxes cut what is silent for 20 s.
pub const PATIENCE: Duration = crate::limits::SILENCE;

/// Writes the header's value.
pub fn value(blobs: &[Digest]) -> String {
    blobs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Reads the header's value; `None` where it is malformed, or names no blob, or more than [`MOST`].
pub fn parse(value: &str) -> Option<Vec<Digest>> {
    let blobs: Vec<Digest> = value.split(',').map(|digest| digest.parse().ok()).collect::<Option<_>>()?;
    (blobs.len() <= MOST).then_some(blobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let blobs: Vec<Digest> =
            (0..=MOST).map(|number| Digest::sha256_of(number.to_string().as_bytes())).collect();
        for count in [1, 2, MOST] {
            assert_eq!(parse(&value(&blobs[..count])).as_deref(), Some(&blobs[..count]));
        }
        assert!(value(&blobs[..MOST]).len() < 2048);
        assert_eq!(parse(&value(&blobs)), None, "more than there may be");
        for wrong in ["", ",", "sha256:00", &format!("{},", blobs[0]), &format!("{}, {}", blobs[0], blobs[1])]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
