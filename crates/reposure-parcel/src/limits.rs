//! What bounds the messages, in bytes and seconds unless the name says otherwise.

use std::time::Duration;

/// The digests in one [`crate::exists::Exists`], as design and registries' connection limits bear.
pub const EXISTS_DIGESTS: usize = 256;
/// The repositories in one [`crate::upload::Open::from`].
pub const MOUNT_SOURCES: usize = 8;
/// The largest JSON body of a request: 256 digests of sha512 and their repository take 36 KiB.
pub const JSON_BODY: usize = 64 << 10;
/// The size of a chunk that a client sends unless it has measured a better one.
pub const CHUNK: u64 = 4 << 20;
/// The largest chunk that a surrogate takes.
pub const LARGEST_CHUNK: u64 = 16 << 20;
/// What a surrogate buffers for all uploads together.
pub const UPLOAD_MEMORY: u64 = 64 << 20;
/// The uploads of large blobs that may be open at once: each has one [`CHUNK`] reserved, and all reserved ones are half of
/// [`UPLOAD_MEMORY`].
pub const OPEN_UPLOADS: usize = 8;
/// What uploads have reserved is counted in places of so many bytes, so that there may be more of smaller blobs: over a long way they
/// wait for each other's round trips.
pub const PLACE: u64 = 1 << 20;
/// All places.
pub const PLACES: usize = OPEN_UPLOADS * MOST_PLACES;
/// The places that a large blob takes.
const MOST_PLACES: usize = (CHUNK / PLACE) as usize;

/// Returns how many places a blob takes: room for all of it, and no more than for a [`CHUNK`].
pub fn places(size: Option<u64>) -> usize {
    let places = size.map_or(u64::MAX, |size| size.div_ceil(PLACE));
    usize::try_from(places).unwrap_or(usize::MAX).clamp(1, MOST_PLACES)
}
/// A request that is not answered by then gets 202 and a place to ask again: middle boxes cut what is silent for 20 s.
pub const SILENCE: Duration = Duration::from_secs(8);
/// How long a late answer is kept.
pub const RESULT_AGE: Duration = Duration::from_secs(300);
/// How long the surrogate keeps an upload that nobody sends to.
pub const UPLOAD_AGE: Duration = Duration::from_secs(300);
/// How often a commit that is not done yet says so.
pub const COMMIT_TICK: Duration = Duration::from_secs(5);
/// The leeway for a token's times.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(60);
/// The lifetime of a client's token, which the API server may shorten or lengthen: the least that it grants.
pub const TOKEN_AGE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_takes_as_many_places_as_it_needs() {
        for (size, expected) in
            [(0, 1), (PLACE, 1), (PLACE + 1, 2), (CHUNK, MOST_PLACES), (u64::MAX, MOST_PLACES)]
        {
            assert_eq!(places(Some(size)), expected);
        }
        assert_eq!(places(None), MOST_PLACES, "it may be large");
    }
}
