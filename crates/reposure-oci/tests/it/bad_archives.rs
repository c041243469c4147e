//! Archives that are damaged, incomplete or made to do harm: each is refused with an error that says where, or gives just the
//! image that it should.

use std::{
    collections::BTreeMap,
    error::Error,
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
};

use reposure_oci::{
    Artifact, Digest, MediaType, Spool, archive,
    sink::write_artifact,
    transfer::{Progress, PushOptions, push},
};
use reposure_testing::RandomImage;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::fixture::Fixture;

/// Far more than the samples need.
const SPOOL: u64 = 1 << 20;
/// How far apart the bytes are that are flipped: no divisor of a block, so that each field of some header is met.
const STRIDE: usize = 37;
const GIB: u64 = 1 << 30;

/// The error with all of its sources, as a program shows it.
fn text(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn open(path: &Path) -> Result<Artifact, String> {
    let folder = path.parent().unwrap();
    let options = archive::Options::new(Spool::new(folder, SPOOL));
    let mut archive = archive::open(path, options).await.map_err(|error| text(&error))?;
    if archive.entries.len() == 1 { Ok(archive.entries.remove(0).artifact) } else { Err("no images".into()) }
}

/// Opens and reads all of it, and returns the digest of the image.
async fn read(path: &Path) -> Result<Digest, String> {
    let artifact = open(path).await?;
    write_artifact(&artifact, Vec::new(), tokio::io::sink()).await.map_err(|error| text(&error))?;
    Ok(artifact.manifest().await.unwrap().digest().clone())
}

async fn refused(path: &Path) -> String {
    read(path).await.unwrap_err()
}

/// An error names the file, and what in it: a member, a blob, or a place.
fn says_where(error: &str, file: &str, members: &[String]) -> bool {
    let place = error.contains("byte") || error.contains("holds no images") || error.contains("truncated");
    error.contains(file) && (place || members.iter().any(|member| error.contains(member.as_str())))
}

fn sample() -> RandomImage {
    RandomImage::new(1, 2, 300).unwrap()
}

/// The forms of a sample in a tar, with the names of their members.
fn tars() -> [Vec<u8>; 2] {
    let (mut docker, mut oci) = (Vec::new(), Vec::new());
    sample().write_docker_archive("app:v1", &mut docker).unwrap();
    sample().write_oci_archive("v1", &mut oci).unwrap();
    [docker, oci]
}

/// The members' names, and their blobs' digests as errors name them.
fn members(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let paths = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    paths.flat_map(|path| [path.replace("blobs/sha256/", "sha256:"), path]).collect()
}

/// Where the last member's content ends.
fn content_end(tar: &[u8]) -> usize {
    let mut archive = tar::Archive::new(tar);
    let last = archive.entries().unwrap().last().unwrap().unwrap();
    usize::try_from(last.raw_file_position() + last.size()).unwrap()
}

#[tokio::test]
async fn archives_that_end_at_any_block_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.tar");
    for tar in tars() {
        fs::write(&path, &tar).unwrap();
        let right = read(&path).await.unwrap();
        let members = members(&tar);
        // What fills up the last block and the end mark hold nothing.
        let end = content_end(&tar);
        for length in (0..tar.len()).step_by(512).flat_map(|block| [block, block + 1, block + 511]) {
            fs::write(&path, &tar[..length]).unwrap();
            match read(&path).await {
                Ok(digest) => assert!(digest == right && length >= end, "{length} of {}", tar.len()),
                Err(error) => assert!(says_where(&error, "images.tar", &members), "{length}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn archives_with_a_flipped_bit_give_the_right_image_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.tar");
    for mut tar in tars() {
        fs::write(&path, &tar).unwrap();
        let right = read(&path).await.unwrap();
        let members = members(&tar);
        let mut refused = 0;
        for at in (0..tar.len()).step_by(STRIDE) {
            let bit = 1 << (at % 8);
            tar[at] ^= bit;
            fs::write(&path, &tar).unwrap();
            match read(&path).await {
                Ok(digest) => assert_eq!(digest, right, "byte {at}"),
                Err(error) => {
                    refused += 1;
                    assert!(says_where(&error, "images.tar", &members), "byte {at}: {error}");
                }
            }
            tar[at] ^= bit;
        }
        assert!(refused > 50, "{refused}");
    }
}

#[tokio::test]
async fn damaged_gzip_gives_the_right_image_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.tar.gz");
    for tar in tars() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        let gzip = gzip.finish().unwrap();
        fs::write(&path, &gzip).unwrap();
        let right = read(&path).await.unwrap();
        for at in (0..gzip.len()).step_by(STRIDE) {
            fs::write(&path, &gzip[..at]).unwrap();
            let error = refused(&path).await;
            assert!(says_where(&error, "images.tar.gz", &[]), "{at}: {error}");
            let mut flipped = gzip.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            match read(&path).await {
                // Times mean nothing, and a stretch of zeros may be copied from anywhere in it.
                Ok(digest) => assert_eq!(digest, right, "byte {at}"),
                Err(error) => assert!(says_where(&error, "images.tar.gz", &[]), "byte {at}: {error}"),
            }
        }
    }
}

/// The files of a layout by path.
fn layout() -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    sample().write_oci_layout("v1", folder.path()).unwrap();
    let mut files = BTreeMap::new();
    for directory in ["", "blobs/sha256/"] {
        for entry in fs::read_dir(folder.path().join(directory)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let path = format!("{directory}{}", entry.file_name().display());
                files.insert(path, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn pack(path: &Path, files: &BTreeMap<String, Vec<u8>>) {
    let mut tar = Builder::new(File::create(path).unwrap());
    for (path, content) in files {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content.as_slice()).unwrap();
    }
    tar.finish().unwrap();
}

#[tokio::test]
async fn layouts_with_damaged_files_give_the_right_image_or_none() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("layout");
    let files = layout();
    write(&folder, &files);
    let right = read(&folder).await.unwrap();
    let names: Vec<String> =
        files.keys().flat_map(|path| [path.replace("blobs/sha256/", "sha256:"), path.clone()]).collect();
    for (file, content) in &files {
        let path = folder.join(file);
        let mut cases: Vec<Vec<u8>> =
            (0..content.len()).step_by(STRIDE).map(|length| content[..length].to_vec()).collect();
        cases.extend((0..content.len()).step_by(STRIDE).map(|at| {
            let mut damaged = content.clone();
            damaged[at] ^= 1 << (at % 8);
            damaged
        }));
        for case in cases {
            fs::write(&path, case).unwrap();
            match read(&folder).await {
                Ok(digest) => assert!(digest == right && !file.starts_with("blobs/"), "{file}"),
                Err(error) => assert!(says_where(&error, "layout", &names), "{file}: {error}"),
            }
        }
        fs::write(&path, content).unwrap();
        fs::remove_file(&path).unwrap();
        refused(&folder).await;
        fs::write(&path, content).unwrap();
    }
    assert_eq!(read(&folder).await.unwrap(), right);
}

fn blob_path(content: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::sha256_of(content).hex())
}

/// A layout whose index has an index with the sample's image, and the paths of child, configuration and layers.
fn nested() -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
    let (mut files, image) = (layout(), sample());
    let child =
        json!({"mediaType": image.media_type(), "digest": image.digest(), "size": image.manifest().len()});
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [child]});
    let index = index.to_string().into_bytes();
    let root =
        json!({"mediaType": MediaType::OCI_INDEX, "digest": Digest::sha256_of(&index), "size": index.len()});
    files.insert("index.json".into(), json!({"schemaVersion": 2, "manifests": [root]}).to_string().into());
    let blobs = image.blobs();
    let contents = [&index[..], image.manifest()].into_iter().chain(blobs.iter().map(|blob| &blob[..]));
    let paths = contents.map(blob_path).collect();
    files.insert(blob_path(&index), index);
    (files, paths)
}

#[tokio::test]
async fn wrong_digests_and_sizes_in_every_position_change_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let (files, paths) = nested();
    let folder = scratch.path().join("whole");
    write(&folder, &files);
    read(&folder).await.unwrap();
    for (number, path) in paths.iter().enumerate() {
        let (mut other, mut longer) = (files.clone(), files.clone());
        // Spaces, so that JSON stays JSON.
        let last = other.get_mut(path).unwrap().last_mut().unwrap();
        *last = if *last == b'}' { b' ' } else { !*last };
        longer.get_mut(path).unwrap().push(b' ');
        for (kind, files) in [("other", other), ("longer", longer)] {
            let folder = scratch.path().join(format!("{kind}-{number}"));
            write(&folder, &files);
            let packed = folder.with_extension("tar");
            pack(&packed, &files);
            for source in [folder, packed] {
                let error = push_refused(&source).await;
                let digest = path.replace("blobs/sha256/", "sha256:");
                let file = source.file_name().unwrap().display().to_string();
                assert!(error.contains(&digest) && error.contains(&file), "{path}, {kind}: {error}");
                let wrong = if kind == "other" { "holds other bytes" } else { "bytes instead of" };
                assert!(error.contains(wrong), "{error}");
            }
        }
    }
}

/// Pushes what cannot be pushed, and sees to it that nothing with a name is changed.
async fn push_refused(source: &Path) -> String {
    let artifact = match open(source).await {
        Ok(artifact) => artifact,
        Err(error) => return error,
    };
    let (fixture, name) = (Fixture::new().await, "a:v1".parse().unwrap());
    let pushed = push(&fixture.client, &artifact, &name, &PushOptions::default(), Progress::none()).await;
    assert!(fixture.registry.tags("a").is_empty());
    assert_eq!(fixture.registry.count(&http::Method::PUT, "/manifests/"), 0);
    text(&pushed.unwrap_err())
}

#[tokio::test]
async fn an_index_that_names_itself_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut files, paths) = nested();
    // No index has its own digest in it, so the digest that is named is another one's.
    let digest = paths[0].replace("blobs/sha256/", "sha256:");
    let size = files[&paths[0]].len();
    let own = json!({"mediaType": MediaType::OCI_INDEX, "digest": digest, "size": size});
    let mut index = json!({"schemaVersion": 2, "manifests": [own]}).to_string();
    index.push_str(&" ".repeat(size - index.len()));
    files.insert(paths[0].clone(), index.into());
    write(scratch.path(), &files);
    let error = refused(scratch.path()).await;
    assert!(error.contains(&format!("{digest} holds other bytes")), "{error}");

    // A layout's own index has no digest, but is no blob either, unless a link makes it one.
    let (mut files, _) = nested();
    let index = files["index.json"].clone();
    let own =
        json!({"mediaType": MediaType::OCI_INDEX, "digest": Digest::sha256_of(&index), "size": index.len()});
    files.insert("index.json".into(), json!({"schemaVersion": 2, "manifests": [own]}).to_string().into());
    let scratch = tempfile::tempdir().unwrap();
    write(scratch.path(), &files);
    symlink("../../index.json", scratch.path().join(blob_path(&index))).unwrap();
    let error = refused(scratch.path()).await;
    assert!(error.contains(&Digest::sha256_of(&index).to_string()), "{error}");
}

#[tokio::test]
async fn links_in_circles_and_out_of_a_folder_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let (files, paths) = nested();
    for path in ["index.json", "oci-layout"].into_iter().chain(paths.iter().map(String::as_str)) {
        let folder = tempfile::tempdir_in(scratch.path()).unwrap();
        write(folder.path(), &files);
        let link = folder.path().join(path);
        let outside = scratch.path().join("outside");
        fs::rename(&link, &outside).unwrap();
        for (target, file) in [(link.clone(), path), (outside, "outside")] {
            symlink(target, &link).unwrap();
            let error = refused(folder.path()).await;
            assert!(error.contains(file), "{path}: {error}");
            fs::remove_file(&link).unwrap();
        }
    }
}

/// Writes a tar of files that are nothing but holes of the file system, after those that are not.
fn write_holes(path: &Path, whole: &BTreeMap<String, Vec<u8>>, holes: &[(&str, u64)]) {
    pack(path, whole);
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::End(-1024)).unwrap();
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
}

#[tokio::test]
async fn a_huge_member_takes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("images.tar");
    let files = layout();
    write_holes(&path, &files, &[("huge", 10 * GIB)]);
    assert!(path.metadata().unwrap().len() > 10 * GIB && path.metadata().unwrap().blocks() < 1000);
    read(&path).await.unwrap();

    let image = sample();
    let layer = blob_path(&image.layers()[1].gzip);
    let mut without = files.clone();
    without.remove(&layer);
    write_holes(&path, &without, &[(&layer, 10 * GIB)]);
    let error = refused(&path).await;
    assert!(error.contains("has 10737418240 bytes instead of"), "{error}");
}

#[tokio::test]
async fn a_member_that_says_it_is_sparse_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("images.tar");
    let mut gnu = Header::new_gnu();
    gnu.set_entry_type(EntryType::GNUSparse);
    let fields = gnu.as_gnu_mut().unwrap();
    fields.set_real_size(10 * GIB);
    fields.sparse[0].set_offset(10 * GIB);
    fields.sparse[0].set_length(0);
    let plain = Header::new_ustar();
    let extension = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.realsize", b"10737418240")];
    for (mut header, extensions) in [(gnu, None), (plain, Some(extension))] {
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
        let error = refused(&path).await;
        assert!(error.contains("images.tar") && error.contains("huge is a sparse file"), "{error}");
    }
}

#[tokio::test]
async fn huge_json_is_refused_by_its_size() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("images.tar");
    let (files, paths) = nested();
    for member in ["index.json", "oci-layout"] {
        let mut without = files.clone();
        without.remove(member);
        write_holes(&path, &without, &[(member, GIB)]);
        let error = refused(&path).await;
        assert!(error.contains(&format!("{member} has 1073741824 bytes, over the limit of")), "{error}");
    }
    write_holes(&path, &BTreeMap::new(), &[("manifest.json", GIB)]);
    let error = refused(&path).await;
    assert!(error.contains("manifest.json has 1073741824 bytes, over the limit of"), "{error}");
    let manifest = json!([{"Config": "config.json", "Layers": []}]).to_string().into();
    write_holes(&path, &[("manifest.json".into(), manifest)].into(), &[("config.json", GIB)]);
    let error = refused(&path).await;
    assert!(error.contains("config.json has 1073741824 bytes, over the limit of"), "{error}");

    // A manifest whose descriptor has the size that it has.
    let mut without = files.clone();
    without.remove(&paths[0]);
    let mut index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    index["manifests"][0]["size"] = GIB.into();
    without.insert("index.json".into(), index.to_string().into());
    write_holes(&path, &without, &[(&paths[0], GIB)]);
    let error = refused(&path).await;
    assert!(error.contains(&format!("{} has 1073741824 bytes, over the limit of", paths[0])), "{error}");
}

#[tokio::test]
async fn a_bomb_fills_no_more_than_the_spool() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("images.tar.gz");
    let tar = scratch.path().join("images.tar");
    write_holes(&tar, &layout(), &[("huge", 64 << 20)]);
    let mut gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
    std::io::copy(&mut File::open(&tar).unwrap(), &mut gzip).unwrap();
    gzip.finish().unwrap();
    let error = refused(&path).await;
    assert!(error.contains("images.tar.gz") && error.contains("more than 1048576 bytes"), "{error}");
}
