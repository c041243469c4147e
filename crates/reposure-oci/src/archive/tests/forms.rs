//! What is told apart: compressed, truncated and streamed archives, and files that are none.

use super::*;

#[tokio::test]
async fn archives_with_refused_members_are_errors() {
    let good = || docker_archive(&config(&[]), &[]);
    insta::assert_snapshot!(error_of(good().raw_file(b"../x", "1")).await, @r#"images.tar cannot be used: member "../x" at byte 2048 is refused: path "../x" leads upwards"#);
    insta::assert_snapshot!(error_of(good().raw_file(b"/x", "1")).await, @r#"images.tar cannot be used: member "/x" at byte 2048 is refused: path "/x" is absolute"#);
    insta::assert_snapshot!(error_of(good().symlink("x", "../../y")).await, @r#"images.tar cannot be used: member "x" at byte 2048 is refused: path "../../y" leads upwards"#);
    insta::assert_snapshot!(error_of(good().hardlink("x", "/y")).await, @r#"images.tar cannot be used: member "x" at byte 2048 is refused: path "/y" is absolute"#);
    insta::assert_snapshot!(error_of(good().file("x", "1").file("./x", "2")).await, @"images.tar cannot be used: member x is there twice, at bytes 2048 and 3072");
    insta::assert_snapshot!(error_of(good().sparse("x")).await, @r#"images.tar cannot be used: member "x" at byte 2048 is a sparse file"#);

    let names = json!([item("c.json", &Value::Null, &["a"])]).to_string();
    let good = || Tar::new().file("c.json", config(&[&layer("one")])).file("manifest.json", &names);
    insta::assert_snapshot!(error_of(good().symlink("a", "b").symlink("b", "a")).await, @"images.tar cannot be used: manifest.json (from byte 1536) names a file that cannot be had: the link a at byte 2048 leads in a circle");
    insta::assert_snapshot!(error_of(good().symlink("a", "b")).await, @"images.tar cannot be used: manifest.json (from byte 1536) names a file that cannot be had: the link a at byte 2048 leads to b, which is not there");
}

#[tokio::test]
async fn truncated_archives_are_errors_wherever_they_end() {
    let one = layer("one");
    let bytes = docker_archive(&config(&[&one]), &[&one]).bytes();
    // The manifest is the last member: its header, one block, and two that end the archive.
    let manifest_end = bytes.len() - 1024;
    for length in (600..manifest_end - 512).step_by(100) {
        for name in ["images.tar", "images"] {
            let scratch = Scratch::new();
            let path = scratch.write(name, &bytes[..length]);
            let error = open(path, scratch.options()).await.unwrap_err();
            let is_right =
                matches!(error, OpenError::Tar(_) | OpenError::Unterminated { .. } | OpenError::NotImages(_));
            assert!(is_right, "{length}: {}", text(&error));
        }
    }
}

#[tokio::test]
async fn what_is_said_of_an_archive_that_is_cut_or_damaged() {
    let bytes = docker_archive(&config(&[&layer("one")]), &[&layer("one")]).bytes();
    let said = |name: &'static str, bytes: Vec<u8>| async move {
        let scratch = Scratch::new();
        let error = open(scratch.write(name, bytes), scratch.options()).await.unwrap_err();
        scratch.without_folder(&text(&error))
    };
    // In the header of the configuration, before that of the layer, in the one and in its content.
    insta::assert_snapshot!(said("images.tar", bytes[..300].to_vec()).await, @"images.tar holds no images: it is neither a docker-archive nor an OCI layout");
    insta::assert_snapshot!(said("images.tar", bytes[..1024].to_vec()).await, @"images.tar seems to be truncated: it ends at byte 1024 without an end mark");
    insta::assert_snapshot!(said("images.tar", bytes[..1300].to_vec()).await, @"images.tar is damaged or incomplete at byte 1024, after member 7df9e16c168eeff539b00f988c6afbf7590a775bf665bb479c1d2a221dca3c7e.json: failed to read entire block");
    let layout = pack(&index(&[describe(&MediaType::OCI_MANIFEST, "{}")]), []).bytes();
    insta::assert_snapshot!(said("images.tar", layout[..1024].to_vec()).await, @"images.tar seems to be truncated: it ends at byte 1024 without an end mark: the OCI layout has no index.json");
    insta::assert_snapshot!(said("images.tar", layout[..layout.len() - 1024].to_vec()).await, @"images.tar seems to be truncated: it ends at byte 2048 without an end mark: index.json (from byte 1536) names sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a, which is not there");
    insta::assert_snapshot!(said("images.tar", bytes[..1700].to_vec()).await, @"images.tar is truncated: member 0/layer.tar, from byte 1536, needs 2048 bytes, but 164 are left");
    let mut flipped = bytes.clone();
    flipped[1024] ^= 1;
    insta::assert_snapshot!(said("images.tar", flipped).await, @"images.tar is damaged or incomplete at byte 1024, after member 7df9e16c168eeff539b00f988c6afbf7590a775bf665bb479c1d2a221dca3c7e.json: archive header checksum mismatch");
    let gzip = compress(&bytes);
    insta::assert_snapshot!(said("images.tar.gz", gzip[..gzip.len() - 9].to_vec()).await, @"cannot decompress images.tar.gz: 5632 bytes came out of it before: incomplete deflate stream");
}

#[tokio::test]
async fn a_whole_archive_that_is_compressed_is_spooled() {
    let one = layer("one");
    let bytes = docker_archive(&config(&[&one]), &[&one]).bytes();
    for format in [Format::Gzip, Format::Zstd, Format::Xz, Format::Bzip2] {
        let compressed = compress_by(format, &bytes);
        // The first bytes tell what it is, not the name.
        for name in ["images.tar.gz", "images.tar.zst", "images"] {
            let scratch = Scratch::new();
            let options = scratch.options();
            let archive = open(scratch.write(name, &compressed), options.clone()).await.unwrap();
            assert_eq!(options.spool.used(), bytes.len() as u64);
            check(image(archive.select(Some("app:v1")).unwrap())).await;
            drop(archive);
            assert_eq!(options.spool.used(), 0);
        }
        let (_scratch, result) = open_bytes(&compressed[..compressed.len() - 20]).await;
        assert!(matches!(result, Err(OpenError::Decompress { .. })), "{format}");

        let scratch = Scratch::new();
        let mut options = scratch.options();
        options.spool = crate::spool::Spool::new(scratch.path(), 1000);
        let error = open(scratch.write("images.tgz", &compressed), options).await.unwrap_err();
        assert!(text(&error).contains("more than 1000 bytes"), "{}", text(&error));
    }
}

#[tokio::test]
async fn damaged_compression_is_an_error_where_an_archive_must_be() {
    for (name, magic) in [
        ("a.tar.zst", &b"\x28\xb5\x2f\xfd"[..]),
        ("a.tar.xz", b"\xfd7zXZ\0"),
        ("a.tbz2", b"BZh9"),
        ("a.tar", b"BZh9"),
    ] {
        let scratch = Scratch::new();
        let error = open(scratch.write(name, magic), scratch.options()).await.unwrap_err();
        assert!(matches!(error, OpenError::Decompress { size: 0, .. }), "{name}: {}", text(&error));
    }
}

#[tokio::test]
async fn what_is_named_like_an_archive_must_hold_images() {
    let tar = Tar::new().file("etc/hosts", "x").bytes();
    let scratch = Scratch::new();
    let path = scratch.write("rootfs.tar", &tar);
    assert!(matches!(open(&path, scratch.options()).await, Err(OpenError::NotImages(_))));
    let mut options = scratch.options();
    options.form = Form::File;
    check(image(&open(&path, options).await.unwrap().entries[0])).await;

    let old = Tar::new().file("repositories", "{}").bytes();
    assert!(matches!(open_bytes(&old).await.1, Err(OpenError::TooOld(_))));
    std::fs::create_dir(scratch.path().join("folder")).unwrap();
    let opened = open(scratch.path().join("folder"), scratch.options()).await;
    assert!(matches!(opened, Err(OpenError::NotImages(_))));
    let opened = open(scratch.path().join("nothing"), scratch.options()).await;
    assert!(matches!(opened, Err(OpenError::Read { .. })));
    assert!(matches!(open("/dev/null", scratch.options()).await, Err(OpenError::NotAFile(_))));
}

#[tokio::test]
async fn a_stream_is_spooled_once_and_opened() {
    let one = layer("one");
    let bytes = docker_archive(&config(&[&one]), &[&one]).bytes();
    let scratch = Scratch::new();
    let options = scratch.options();
    let take = |bytes: Vec<u8>| receive(std::io::Cursor::new(bytes), "standard input", options.clone());
    for stream in [bytes.clone(), compress(&bytes), compress_by(Format::Zstd, &bytes)] {
        let archive = take(stream).await.unwrap();
        assert_eq!(options.spool.used(), bytes.len() as u64);
        check(image(archive.select(None).unwrap())).await;
    }
    assert_eq!(options.spool.used(), 0);

    assert!(matches!(take(Vec::new()).await, Err(OpenError::Empty(_))));
    for stream in [b"text".to_vec(), vec![0; 2000], Tar::new().file("a", "1").bytes()] {
        assert!(matches!(take(stream).await, Err(OpenError::NotImages(_))));
    }
    assert!(matches!(take(bytes[..bytes.len() / 2].to_vec()).await, Err(OpenError::Tar(_))));
    let cut = compress(&bytes);
    let result = take(cut[..cut.len() - 9].to_vec()).await;
    assert!(matches!(result, Err(OpenError::Decompress { .. })));
    let broken = std::io::Read::chain(std::io::Cursor::new(bytes.clone()), Broken);
    let error = receive(broken, "standard input", options.clone()).await.unwrap_err();
    let said = format!("cannot receive standard input: {} bytes came before: the pipe broke", bytes.len());
    assert_eq!(text(&error), said);
    let mut options = scratch.options();
    options.spool = crate::spool::Spool::new(scratch.path(), 1000);
    let error = receive(std::io::Cursor::new(bytes), "standard input", options).await.unwrap_err();
    assert!(text(&error).contains("more than 1000 bytes"), "{}", text(&error));
}

struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("the pipe broke"))
    }
}

#[tokio::test]
async fn any_other_file_becomes_an_image() {
    let strange = Tar::new().raw_file(b"../x", "1").file("a", "1").file("a", "2").bytes();
    for (name, content) in [
        ("hello.txt", &b"hello\n"[..]),
        ("empty", b""),
        ("data.gz", &compress(b"data")),
        ("data.xz", b"\xfd7zXZ\0data"),
        ("strange.bin", &strange),
        ("half.gz", b"\x1f\x8b\x08\x00"),
    ] {
        let scratch = Scratch::new();
        let archive = open(scratch.write(name, content), scratch.options()).await.unwrap();
        let image = image(archive.select(None).unwrap());
        check(image).await;
        assert_eq!(image.parts()[1].label(), name);
    }
}
