//! The same before Distribution 3, with a surrogate that is killed: both are processes of their own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use reposure_oci::Digest;
use reposure_parcel::{
    config::Access,
    upload::{Open, Progress},
    wire,
};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::harness::{CHUNK, SurrogateClient, bytes, config, open};

const PROGRAM: &str = env!("CARGO_BIN_EXE_reposure-surrogate");
/// By when a process listens, on a busy machine.
const START: Duration = Duration::from_secs(30);

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

async fn start(program: &Path, arguments: &[&str], address: SocketAddr) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).env("OTEL_TRACES_EXPORTER", "none");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let child = command.spawn().unwrap();
    let listening = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(START, listening).await.expect("it listens");
    child
}

async fn start_registry(folder: &TempDir) -> (Child, SocketAddr) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/bin/registry3");
    assert!(program.is_file(), "registry3 is missing: make build/bin/registry3");
    let (address, path) = (free_address(), folder.path().join("registry.yml"));
    let at = folder.path().display();
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {at}/storage}}}}\nhttp: {{addr: '{address}'}}\n"
    );
    fs::write(&path, text).unwrap();
    (start(&program, &["serve", &path.display().to_string()], address).await, address)
}

/// Starts a surrogate at an address.
async fn start_surrogate(folder: &TempDir, registry: SocketAddr, address: SocketAddr) -> Child {
    let mut config = config(&registry.to_string(), Access::Loopback);
    config.listen = address;
    let path: PathBuf = folder.path().join("config.json");
    fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    start(Path::new(PROGRAM), &["serve", "--config", &path.display().to_string()], address).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_surrogate_costs_little() {
    let folder = tempfile::tempdir().unwrap();
    let (_registry, registry) = start_registry(&folder).await;
    let address = free_address();
    let mut surrogate = start_surrogate(&folder, registry, address).await;
    let client = SurrogateClient::at(address);
    let blob = bytes(1, 64 * CHUNK + 77);
    let opened = client.open(&blob).await;
    let mut resume = None;
    for start in (0..48 * CHUNK).step_by(CHUNK) {
        let answer = client.put(&opened.id, start, &blob[start..start + CHUNK]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        resume = answer.json::<Progress>().resume.or(resume);
    }
    surrogate.kill().await.unwrap();

    let address = free_address();
    let _surrogate = start_surrogate(&folder, registry, address).await;
    let client = SurrogateClient::at(address);
    let opened: Progress = client.post(wire::UPLOADS, &Open { resume, ..open(&blob) }).await.json();
    let there = opened.received.first().map_or(0, |range| range.end);
    // What was in the surrogate and in sockets is lost: far less than all of it, since the window was never full.
    assert!(there >= 24 * CHUNK as u64, "{there} bytes are there");
    for start in (0..blob.len()).step_by(CHUNK).filter(|start| (start + CHUNK) as u64 > there) {
        let end = (start + CHUNK).min(blob.len());
        let answer = client.put(&opened.id, start, &blob[start..end]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let answer = client.commit(&opened.id, &Digest::sha256_of(&blob), blob.len()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Distribution deletes no upload by an address that is not the newest. What is left would take room for a week.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_registry, registry) = start_registry(&folder).await;
    let address = free_address();
    let _surrogate = start_surrogate(&folder, registry, address).await;
    let client = SurrogateClient::at(address);
    let blob = bytes(2, 64 * CHUNK);
    let opened = client.open(&blob).await;
    for start in (0..48 * CHUNK).step_by(CHUNK) {
        let answer = client.put(&opened.id, start, &blob[start..start + CHUNK]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let stored = || stored(&folder.path().join("storage/docker/registry/v2/repositories"));
    let some = async {
        while stored() == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(START, some).await.expect("the registry has some of it");
    let answer = client.cancel(&opened.id).await;
    assert!(answer.status.is_success(), "{answer:?}");
    let none = async {
        while stored() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(START, none).await.expect("nothing of it is left");
}

/// Returns how many bytes there are below a folder.
fn stored(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |path: PathBuf| match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => stored(&path),
        Ok(metadata) if path.ends_with("data") => metadata.len(),
        _ => 0,
    };
    entries.map(|entry| size(entry.path())).sum()
}
