//! `PUT /reposure/v1/blobs/REPOSITORY/DIGEST`: a small blob, opened, sent and committed in one request.
//!
//! Many layers are smaller than a chunk, and on a long way each round trip counts. The answer is that of a commit: 201 or 200 with
//! [`Stored`](crate::upload::Stored), or 202 with [`Progress`](crate::upload::Progress) of an upload that is to be committed. What
//! is cut may be sent as an upload, which finds what has arrived.

use reposure_oci::{Digest, RepositoryName};

use crate::{limits::CHUNK, wire};

/// How a surrogate's hello names it.
pub const CAPABILITY: &str = "blobs";
/// The largest such blob, in bytes: what is reserved for each upload, so that it is never refused for want of memory.
pub const LIMIT: u64 = CHUNK;

/// Returns the path of a blob.
pub fn path(repository: &RepositoryName, digest: &Digest) -> String {
    format!("{}/{repository}/{digest}", wire::BLOBS)
}

/// Reads what stands behind the prefix of [`path`].
pub fn parse(rest: &str) -> Option<(RepositoryName, Digest)> {
    let (repository, digest) = rest.rsplit_once('/')?;
    Some((repository.parse().ok()?, digest.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_it_was_written() {
        let (repository, digest): (RepositoryName, _) =
            ("some/deep/app".parse().unwrap(), Digest::sha256_of(b"x"));
        let path = path(&repository, &digest);
        let rest = path.strip_prefix(wire::BLOBS).unwrap().strip_prefix('/').unwrap();
        assert_eq!(parse(rest), Some((repository, digest)));
        for wrong in ["", "app", "app/latest", "../app/sha256:00", "/sha256:00"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
