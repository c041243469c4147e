//! Layouts with damaged, missing and wrong files.

use std::fs;

use super::{
    Bench, Refused,
    samples::{digest_at, layout, nested, pack, write},
};

/// How far apart the bytes are that are flipped.
const STRIDE: usize = 37;

/// An error names the folder, and one of the files in it by its path or digest.
#[track_caller]
fn says_which(refused: &Refused, files: &[&String]) {
    for text in &refused.0 {
        let has_name =
            files.iter().any(|file| text.contains(file.as_str()) || text.contains(&digest_at(file)));
        assert!(text.contains("layout") && has_name, "{text}");
    }
}

/// The content cut off and with a bit flipped, at many places each.
fn damages(content: &[u8]) -> Vec<Vec<u8>> {
    let places = || (0..content.len()).step_by(STRIDE);
    let flipped = places().map(|at| {
        let mut damaged = content.to_vec();
        damaged[at] ^= 1 << (at % 8);
        damaged
    });
    places().map(|length| content[..length].to_vec()).chain(flipped).collect()
}

#[tokio::test]
async fn layouts_with_damaged_files_give_the_right_image_or_none() {
    let bench = Bench::new().await;
    let folder = bench.path("layout");
    let files = layout();
    write(&folder, &files);
    let right = bench.take(&folder).await.unwrap();
    for (file, content) in &files {
        let path = folder.join(file);
        for damaged in damages(content) {
            fs::write(&path, damaged).unwrap();
            match bench.take(&folder).await {
                Ok(digest) => assert!(digest == right && !file.starts_with("blobs/"), "{file}"),
                // What it says of the others may be wrong.
                Err(refused) if file == "index.json" => {
                    says_which(&refused, &files.keys().collect::<Vec<_>>());
                }
                Err(refused) => says_which(&refused, &[file]),
            }
        }
        fs::remove_file(&path).unwrap();
        let refused = bench.refused(&folder).await;
        match file.as_str() {
            "oci-layout" => refused.says(&["layout holds no images"]),
            _ => says_which(&refused, &[file]),
        }
        fs::write(&path, content).unwrap();
    }
    assert_eq!(bench.take(&folder).await.unwrap(), right);
}

#[tokio::test]
async fn wrong_digests_and_sizes_in_every_position_change_nothing() {
    let bench = Bench::new().await;
    let (files, paths) = nested();
    let folder = bench.path("whole");
    write(&folder, &files);
    bench.take(&folder).await.unwrap();
    for (number, path) in paths.iter().enumerate() {
        let (mut other, mut longer) = (files.clone(), files.clone());
        // Spaces, so that JSON stays JSON.
        let last = other.get_mut(path).unwrap().last_mut().unwrap();
        *last = if *last == b'}' { b' ' } else { !*last };
        longer.get_mut(path).unwrap().push(b' ');
        let digest = digest_at(path);
        let holds_other = format!("{digest} holds other bytes");
        for (kind, files, wrong) in
            [("other", other, vec![holds_other.as_str()]), ("longer", longer, vec![path, "bytes instead of"])]
        {
            let folder = bench.path(&format!("{kind}-{number}"));
            write(&folder, &files);
            let packed = folder.with_extension("tar");
            pack(&packed, &files);
            bench.refused(&folder).await.says(&[&[folder.to_str().unwrap()], &wrong[..]].concat());
            let place = format!("from byte {}", content_of(&packed, path));
            bench.refused(&packed).await.says(&[&[packed.to_str().unwrap(), &place], &wrong[..]].concat());
        }
    }
}

/// Where a member's content is.
fn content_of(tar: &std::path::Path, member: &str) -> u64 {
    let mut archive = tar::Archive::new(fs::File::open(tar).unwrap());
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    entries.find(|entry| entry.path().unwrap().to_str() == Some(member)).unwrap().raw_file_position()
}
