//! Tars that are cut off or have a flipped bit, compressed or not.

use std::{fs, io::Write as _};

use super::{
    Bench, Refused,
    samples::{digest_at, tars},
};

/// How far apart the bytes are that are flipped: no divisor of a block, so that each field of some header is met.
const STRIDE: usize = 37;

/// What is said where there is no member to name: of the first header, of an end without its mark, of gzip.
const WITHOUT_MEMBER: [&str; 4] = [
    "holds no images",
    "is damaged or incomplete at byte 0",
    "without an end mark",
    "bytes came out of it before",
];

/// An error names the file, what in it, and the byte.
#[track_caller]
fn says_where(refused: &Refused, file: &str, members: &[String]) {
    for text in &refused.0 {
        let is_at = |(at, word): (usize, &str)| {
            text[at + word.len()..].starts_with(|next: char| next.is_ascii_digit())
        };
        let has_place = text.match_indices("byte ").any(is_at);
        let has_member = members.iter().any(|member| text.contains(member));
        let is_without = WITHOUT_MEMBER.iter().any(|known| text.contains(known));
        assert!(text.contains(file) && (is_without || has_place && has_member), "{text}");
    }
}

/// The members' names, and their blobs' digests as errors name them.
fn members(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let paths = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    paths.flat_map(|path| [digest_at(&path), path]).collect()
}

/// Where the last member's content ends.
fn content_end(tar: &[u8]) -> usize {
    let mut archive = tar::Archive::new(tar);
    let last = archive.entries().unwrap().last().unwrap().unwrap();
    usize::try_from(last.raw_file_position() + last.size()).unwrap()
}

#[tokio::test]
async fn archives_that_end_at_any_block_are_refused() {
    let bench = Bench::new().await;
    let path = bench.path("images.tar");
    for tar in tars() {
        fs::write(&path, &tar).unwrap();
        let right = bench.take(&path).await.unwrap();
        let members = members(&tar);
        // What fills up the last block and the end mark hold nothing.
        let end = content_end(&tar);
        for length in (0..tar.len()).step_by(512).flat_map(|block| [block, block + 1, block + 511]) {
            fs::write(&path, &tar[..length]).unwrap();
            match bench.take(&path).await {
                Ok(digest) => assert!(digest == right && length >= end, "{length} of {}", tar.len()),
                Err(refused) => says_where(&refused, "images.tar", &members),
            }
        }
    }
}

#[tokio::test]
async fn archives_with_a_flipped_bit_give_the_right_image_or_none() {
    let bench = Bench::new().await;
    let path = bench.path("images.tar");
    for mut tar in tars() {
        fs::write(&path, &tar).unwrap();
        let right = bench.take(&path).await.unwrap();
        let members = members(&tar);
        let mut count = 0;
        for at in (0..tar.len()).step_by(STRIDE) {
            let bit = 1 << (at % 8);
            tar[at] ^= bit;
            fs::write(&path, &tar).unwrap();
            match bench.take(&path).await {
                Ok(digest) => assert_eq!(digest, right, "byte {at}"),
                Err(refused) => {
                    count += 1;
                    says_where(&refused, "images.tar", &members);
                }
            }
            tar[at] ^= bit;
        }
        assert!(count > 50, "{count}");
    }
}

#[tokio::test]
async fn damaged_gzip_gives_the_right_image_or_none() {
    let bench = Bench::new().await;
    let path = bench.path("images.tar.gz");
    for tar in tars() {
        let members = members(&tar);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        let gzip = gzip.finish().unwrap();
        fs::write(&path, &gzip).unwrap();
        let right = bench.take(&path).await.unwrap();
        for at in (0..gzip.len()).step_by(STRIDE) {
            fs::write(&path, &gzip[..at]).unwrap();
            says_where(&bench.refused(&path).await, "images.tar.gz", &members);
            let mut flipped = gzip.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            match bench.take(&path).await {
                // Times mean nothing, and a stretch of zeros may be copied from anywhere in it.
                Ok(digest) => assert_eq!(digest, right, "byte {at}"),
                Err(refused) => says_where(&refused, "images.tar.gz", &members),
            }
        }
    }
}
