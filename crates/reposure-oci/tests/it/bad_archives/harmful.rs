//! Archives and layouts that were made to lead out of themselves or in circles, or to mean two things.

use std::{fs, os::unix::fs::symlink};

use reposure_oci::{Digest, MediaType};
use serde_json::json;
use tar::EntryType;

use super::{
    Bench,
    samples::{blob_path, digest_at, nested, pack, tars, with_member, write},
};

#[tokio::test]
async fn members_that_are_refused_change_nothing() {
    let bench = Bench::new().await;
    let path = bench.path("images.tar");
    let cases = [
        (EntryType::Regular, "../x", "", "leads upwards"),
        (EntryType::Regular, "a/../../x", "", "leads upwards"),
        (EntryType::Regular, "/x", "", "is absolute"),
        (EntryType::Symlink, "x", "../y", "leads upwards"),
        (EntryType::Symlink, "x", "/y", "is absolute"),
        (EntryType::Link, "x", "../y", "leads upwards"),
        (EntryType::Link, "x", "/y", "is absolute"),
    ];
    for tar in tars() {
        for (kind, member, target, wrong) in cases {
            let (bytes, at) = with_member(&tar, kind, member, target);
            fs::write(&path, bytes).unwrap();
            let place = format!("images.tar cannot be used: member {member:?} at byte {at} is refused");
            bench.refused(&path).await.says(&[&place, wrong]);
        }
    }
}

#[tokio::test]
async fn members_that_are_there_twice_change_nothing() {
    let bench = Bench::new().await;
    let path = bench.path("images.tar");
    for tar in tars() {
        let mut archive = tar::Archive::new(&tar[..]);
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let (member, first) = (entry.path().unwrap().display().to_string(), entry.raw_header_position());
            for kind in [EntryType::Regular, EntryType::Symlink, EntryType::Link] {
                let (bytes, second) = with_member(&tar, kind, &member, "other");
                fs::write(&path, bytes).unwrap();
                let wrong = format!("{member} is there twice, at bytes {first} and {second}");
                bench.refused(&path).await.says(&["images.tar", &wrong]);
            }
        }
    }
}

#[tokio::test]
async fn an_index_that_names_itself_is_refused() {
    let bench = Bench::new().await;
    let (mut files, paths) = nested();
    // No index has its own digest in it, so the digest that is named is another one's.
    let digest = digest_at(&paths[0]);
    let size = files[&paths[0]].len();
    let own = json!({"mediaType": MediaType::OCI_INDEX, "digest": digest, "size": size});
    let mut index = json!({"schemaVersion": 2, "manifests": [own]}).to_string();
    index.push_str(&" ".repeat(size - index.len()));
    files.insert(paths[0].clone(), index.into());
    let folder = bench.path("one");
    write(&folder, &files);
    bench.refused(&folder).await.says(&[
        "one cannot be used",
        &paths[0],
        &format!("{digest} holds other bytes"),
    ]);

    // A layout's own index has no digest, but is no blob either, unless a link makes it one.
    let (mut files, _) = nested();
    let index = files["index.json"].clone();
    let own =
        json!({"mediaType": MediaType::OCI_INDEX, "digest": Digest::sha256_of(&index), "size": index.len()});
    files.insert("index.json".into(), json!({"schemaVersion": 2, "manifests": [own]}).to_string().into());
    let folder = bench.path("two");
    write(&folder, &files);
    symlink("../../index.json", folder.join(blob_path(&index))).unwrap();
    bench.refused(&folder).await.says(&["two cannot be used", &blob_path(&index)]);
}

#[tokio::test]
async fn links_in_circles_and_out_of_a_folder_are_refused() {
    let bench = Bench::new().await;
    let (files, paths) = nested();
    for (number, path) in
        ["index.json", "oci-layout"].into_iter().chain(paths.iter().map(String::as_str)).enumerate()
    {
        let folder = bench.path(&number.to_string());
        write(&folder, &files);
        let link = folder.join(path);
        let outside = bench.path("outside");
        fs::rename(&link, &outside).unwrap();
        for (target, file) in [(link.clone(), path), (outside, "outside")] {
            symlink(target, &link).unwrap();
            bench.refused(&folder).await.says(&[&format!("{} cannot be used", folder.display()), file]);
            fs::remove_file(&link).unwrap();
        }
    }
}

#[tokio::test]
async fn links_in_circles_and_to_nothing_in_an_archive_are_refused() {
    let bench = Bench::new().await;
    let path = bench.path("images.tar");
    let (files, paths) = nested();
    for member in ["index.json", "oci-layout"].into_iter().chain(paths.iter().map(String::as_str)) {
        let mut without = files.clone();
        without.remove(member);
        pack(&path, &without);
        let tar = fs::read(&path).unwrap();
        let name = member.rsplit('/').next().unwrap();
        for (target, wrong) in [(name, "leads in a circle"), ("nothing", "nothing, which is not there")] {
            let (bytes, at) = with_member(&tar, EntryType::Symlink, member, target);
            fs::write(&path, bytes).unwrap();
            let place = format!("the link {member} at byte {at} leads");
            bench.refused(&path).await.says(&["images.tar cannot be used", &place, wrong]);
        }
    }
}
