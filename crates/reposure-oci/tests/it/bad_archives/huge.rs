//! Archives that say more than anybody has room for.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::{
    Bench, SPOOL,
    samples::{blob_path, layout, nested, pack, sample, write},
};

const GIB: u64 = 1 << 30;

/// Writes a tar of files that are nothing but holes of the file system, after those that are not; tells where the first of them is.
fn write_holes(path: &Path, whole: &BTreeMap<String, Vec<u8>>, holes: &[(&str, u64)]) -> u64 {
    pack(path, whole);
    let mut file = File::options().write(true).open(path).unwrap();
    let start = file.seek(SeekFrom::End(-1024)).unwrap();
    for (name, size) in holes {
        let mut header = Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(EntryType::Regular);
        header.set_size(*size);
        header.set_cksum();
        file.write_all(header.as_bytes()).unwrap();
        file.seek(SeekFrom::Current(size.next_multiple_of(512).try_into().unwrap())).unwrap();
    }
    let end = file.stream_position().unwrap();
    file.set_len(end + 1024).unwrap();
    start + 512
}

#[tokio::test]
async fn a_huge_member_takes_nothing() {
    let bench = Bench::new().await;
    let path = bench.path("images.tar");
    let files = layout();
    write_holes(&path, &files, &[("huge", 10 * GIB)]);
    assert!(path.metadata().unwrap().len() > 10 * GIB && path.metadata().unwrap().blocks() < 1000);
    bench.take(&path).await.unwrap();

    let image = sample();
    let layer = blob_path(&image.layers()[1].gzip);
    let mut without = files.clone();
    without.remove(&layer);
    let at = write_holes(&path, &without, &[(&layer, 10 * GIB)]);
    let wrong =
        format!("images.tar cannot be used: {layer} (from byte {at}) has 10737418240 bytes instead of");
    bench.refused(&path).await.says(&[&wrong]);
}

#[tokio::test]
async fn a_member_that_says_it_is_sparse_is_refused() {
    let bench = Bench::new().await;
    let path = bench.path("images.tar");
    let mut gnu = Header::new_gnu();
    gnu.set_entry_type(EntryType::GNUSparse);
    let fields = gnu.as_gnu_mut().unwrap();
    fields.set_real_size(10 * GIB);
    fields.sparse[0].set_offset(10 * GIB);
    fields.sparse[0].set_length(0);
    let plain = Header::new_ustar();
    let extension = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.realsize", b"10737418240")];
    // The extension has a header and a block of its own.
    for (mut header, extensions, at) in [(gnu, None, 0), (plain, Some(extension), 1024)] {
        let mut tar = Builder::new(Vec::new());
        header.set_size(0);
        if let Some(extensions) = extensions {
            tar.append_pax_extensions(extensions).unwrap();
        }
        tar.append_data(&mut header, "huge", &b""[..]).unwrap();
        let mut header = Header::new_gnu();
        header.set_size(2);
        tar.append_data(&mut header, "manifest.json", &b"[]"[..]).unwrap();
        fs::write(&path, tar.into_inner().unwrap()).unwrap();
        let wrong = format!("member \"huge\" at byte {at} is a sparse file");
        bench.refused(&path).await.says(&["images.tar cannot be used", &wrong]);
    }
}

#[tokio::test]
async fn huge_json_is_refused_by_its_size() {
    let bench = Bench::new().await;
    let path = bench.path("images.tar");
    let (files, paths) = nested();
    let manifest = json!([{"Config": "config.json", "Layers": []}]).to_string().into();
    let list: BTreeMap<String, Vec<u8>> = [("manifest.json".into(), manifest)].into();
    let without = |member: &str| {
        let mut without = files.clone();
        without.remove(member);
        without
    };
    // A manifest whose descriptor has the size that it has.
    let mut with_size = without(&paths[0]);
    let mut index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    index["manifests"][0]["size"] = GIB.into();
    with_size.insert("index.json".into(), index.to_string().into());
    for (member, whole) in [
        ("index.json", without("index.json")),
        ("oci-layout", without("oci-layout")),
        ("manifest.json", BTreeMap::new()),
        ("config.json", list),
        (&paths[0], with_size),
    ] {
        let at = write_holes(&path, &whole, &[(member, GIB)]);
        let wrong = format!("{member} (from byte {at}) has 1073741824 bytes, over the limit of");
        bench.refused(&path).await.says(&["images.tar cannot be used", &wrong]);
    }
}

#[tokio::test]
async fn huge_json_in_a_folder_is_refused_by_its_size() {
    let bench = Bench::new().await;
    let (files, paths) = nested();
    let folder = bench.path("layout");
    let grow =
        |path: &str| File::options().write(true).open(folder.join(path)).unwrap().set_len(GIB).unwrap();
    for member in ["index.json", "oci-layout", &paths[0]] {
        write(&folder, &files);
        grow(member);
        if *member == paths[0] {
            let mut index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
            index["manifests"][0]["size"] = GIB.into();
            fs::write(folder.join("index.json"), index.to_string()).unwrap();
        }
        assert!(folder.join(member).metadata().unwrap().blocks() < 1000, "it takes room");
        let wrong = format!("layout cannot be used: {member} has 1073741824 bytes, over the limit of");
        bench.refused(&folder).await.says(&[&wrong]);
    }
    write(&folder, &files);
    // A layer may be as large as it likes, but not another than is said.
    grow(&paths[3]);
    bench.refused(&folder).await.says(&[
        "layout cannot be used",
        &paths[3],
        "has 1073741824 bytes instead of",
    ]);

    let folder = bench.path("docker");
    let list = json!([{"Config": "config.json", "Layers": []}]).to_string();
    write(&folder, &[("manifest.json".into(), list.into()), ("config.json".into(), Vec::new())].into());
    for member in ["config.json", "manifest.json"] {
        File::options().write(true).open(folder.join(member)).unwrap().set_len(GIB).unwrap();
        let wrong = format!("docker cannot be used: {member} has 1073741824 bytes, over the limit of");
        bench.refused(&folder).await.says(&[&wrong]);
    }
}

#[tokio::test]
async fn a_bomb_fills_no_more_than_the_spool() {
    let bench = Bench::new().await;
    let (path, tar) = (bench.path("images.tar.gz"), bench.path("images.tar"));
    write_holes(&tar, &layout(), &[("huge", 64 << 20)]);
    let mut gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
    std::io::copy(&mut File::open(&tar).unwrap(), &mut gzip).unwrap();
    gzip.finish().unwrap();
    bench.refused(&path).await.says(&["images.tar.gz", &format!("more than {SPOOL} bytes")]);
}
