//! Packs files into an image of one layer, and writes it as an archive.
//!
//!     pack OUT.tar HOST/NAME:TAG [--uncompressed] [--user UID:GID] [--entrypoint PATH] FILE:PATH…
//!
//! The archive is an OCI layout and a docker-archive at once; with `--uncompressed` it is a docker-archive as docker saved it
//! before version 25, whose layer is a plain tar. Same files, same bytes: times, owners and modes are fixed.

#![allow(clippy::print_stderr, reason = "a command line tool prints")]

use std::{env, error::Error, fs, io, os::unix::fs::PermissionsExt as _, path::Path, process::ExitCode};

use reposure_oci::{
    Digest, ImageName, Spool, archive,
    sink::{ArchiveName, write_artifact},
};
use serde_json::json;
use tar::{Builder, EntryType, Header};

type Failure = Box<dyn Error>;

/// Ample for the programs of one image, in bytes.
const SPOOL_LIMIT: u64 = 4 << 30;

struct Wish {
    out: String,
    name: String,
    uncompressed: bool,
    user: String,
    entrypoint: Vec<String>,
    files: Vec<(String, String)>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match pack().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pack: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn pack() -> Result<(), Failure> {
    let wish = parse(env::args().skip(1))?;
    let saved = docker_archive(&wish)?;
    if wish.uncompressed {
        return Ok(fs::write(&wish.out, saved)?);
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("saved.tar");
    fs::write(&path, saved)?;
    let archive = archive::open(path, archive::Options::new(Spool::new(folder.path(), SPOOL_LIMIT))).await?;
    let names = vec![archive_name(&wish.name)?];
    let out = tokio::fs::File::create(&wish.out).await?;
    write_artifact(&archive.select(None)?.artifact, names, out).await?;
    Ok(())
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Wish, Failure> {
    let mut next = |what: &str| args.next().ok_or(format!("{what} is missing"));
    let (out, name) = (next("OUT.tar")?, next("HOST/NAME:TAG")?);
    let (user, entrypoint, files) = ("0:0".into(), Vec::new(), Vec::new());
    let mut wish = Wish { out, name, uncompressed: false, user, entrypoint, files };
    while let Ok(argument) = next("") {
        match argument.as_str() {
            "--uncompressed" => wish.uncompressed = true,
            "--user" => wish.user = next("UID:GID")?,
            "--entrypoint" => wish.entrypoint.push(next("PATH")?),
            file => {
                let (file, path) = file.split_once(":/").ok_or(format!("{file:?} is not FILE:/PATH"))?;
                wish.files.push((file.into(), path.into()));
            }
        }
    }
    Ok(wish)
}

fn archive_name(name: &str) -> Result<ArchiveName, Failure> {
    let (host, image) = name.split_once('/').ok_or("the name has no host")?;
    Ok(ArchiveName::Image { host: Some(host.into()), image: image.parse::<ImageName>()? })
}

fn docker_archive(wish: &Wish) -> Result<Vec<u8>, Failure> {
    let layer = layer(&wish.files)?;
    let config = json!({
        "architecture": archive::host_platform().architecture,
        "os": "linux",
        "config": {"User": wish.user, "Env": ["PATH=/bin:/"], "Entrypoint": wish.entrypoint},
        "rootfs": {"type": "layers", "diff_ids": [Digest::sha256_of(&layer)]},
    })
    .to_string();
    let (config_path, layer_path) = (
        format!("{}.json", Digest::sha256_of(&config).hex()),
        format!("{}/layer.tar", Digest::sha256_of(&layer).hex()),
    );
    let manifest =
        json!([{"Config": config_path, "RepoTags": [wish.name], "Layers": [layer_path]}]).to_string();
    let mut tar = Builder::new(Vec::new());
    append(&mut tar, &config_path, 0o644, config.as_bytes())?;
    append(&mut tar, &layer_path, 0o644, &layer)?;
    append(&mut tar, "manifest.json", 0o644, manifest.as_bytes())?;
    Ok(tar.into_inner()?)
}

/// The files, below folders that everybody may read, and `/tmp`.
fn layer(files: &[(String, String)]) -> Result<Vec<u8>, Failure> {
    let mut tar = Builder::new(Vec::new());
    let mut folders = vec![];
    for (_, path) in files {
        let above = Path::new(path).ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
        folders.extend(above.map(Path::to_path_buf));
    }
    folders.sort();
    folders.dedup();
    for folder in folders {
        folder_entry(&mut tar, &format!("{}/", folder.display()), 0o755)?;
    }
    folder_entry(&mut tar, "tmp/", 0o1777)?;
    for (file, path) in files {
        let executable = fs::metadata(file)?.permissions().mode() & 0o111 != 0;
        append(&mut tar, path, if executable { 0o755 } else { 0o644 }, &fs::read(file)?)?;
    }
    Ok(tar.into_inner()?)
}

fn folder_entry(tar: &mut Builder<Vec<u8>>, path: &str, mode: u32) -> io::Result<()> {
    let mut header = header(mode, 0);
    header.set_entry_type(EntryType::Directory);
    tar.append_data(&mut header, path, io::empty())
}

fn append(tar: &mut Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(mode, bytes.len() as u64), path, bytes)
}

fn header(mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header
}
