//! What the gate before the built-in registry costs: CNCF Distribution with TLS and a password of its own, beside Distribution with
//! neither behind a gate with both, on this machine.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::BodyExt as _;
use reposure_oci::{
    Digest, DirectOptions, DirectTransport, RepositoryName, TrustAnchors,
    auth::{Credentials, FixedCredentials},
    registry::Client,
    transport::full,
};
use tempfile::TempDir;

use crate::{
    scene::{Process, free_ports, start},
    table::median,
};

/// How many blobs are on their way at once, as with images.
const PARALLEL: usize = 4;
/// The cost of the password's hash: that of `htpasswd -B`. Distribution computes it for each request.
const COST: u32 = 5;

/// Compare a registry behind the gate with one that has TLS and a password of its own
#[derive(Debug, Args)]
pub(crate) struct GateArgs {
    /// How many runs of each
    #[arg(long, default_value_t = 9)]
    runs: usize,
    /// How many MiB are pushed and pulled, in four blobs
    #[arg(long, default_value_t = 256)]
    size: usize,
}

/// A registry with TLS and a password.
struct Side {
    client: Client<DirectTransport>,
    _processes: Vec<Process>,
    times: [Vec<f64>; 2],
}

#[tokio::main]
pub(crate) async fn run(args: &GateArgs) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
    let folder = root.join("build/bench");
    fs::create_dir_all(&folder)?;
    let folder = tempfile::tempdir_in(&folder)?;
    let authority = secrets(&folder)?;
    let mut sides = [own(root, &folder, &authority)?, gate(root, &folder, &authority)?];
    for run in 0..args.runs {
        let blobs: Vec<Vec<u8>> =
            (0..PARALLEL).map(|_| reposure_e2e::random_bytes((args.size << 20) / PARALLEL)).collect();
        // Nobody is always the first.
        for turn in 0..sides.len() {
            let side = &mut sides[(run + turn) % 2];
            let repository: RepositoryName = format!("run/{run}").parse()?;
            for (times, time) in
                side.times.iter_mut().zip(side.client.there_and_back(&repository, &blobs).await?)
            {
                times.push(time.as_secs_f64());
            }
        }
    }
    print(args.size, &mut sides);
    Ok(())
}

/// What is measured.
trait ThereAndBack {
    async fn there_and_back(&self, repository: &RepositoryName, blobs: &[Vec<u8>]) -> Result<[Duration; 2]>;
}

impl ThereAndBack for Client<DirectTransport> {
    async fn there_and_back(&self, repository: &RepositoryName, blobs: &[Vec<u8>]) -> Result<[Duration; 2]> {
        let blobs: Vec<_> = blobs.iter().map(|blob| (Digest::sha256_of(blob), blob.clone())).collect();
        let named: Vec<_> = blobs.iter().map(|(digest, blob)| (digest.clone(), blob.len() as u64)).collect();
        rustix::fs::sync();
        let begin = Instant::now();
        stream::iter(blobs.into_iter().map(Ok::<_, anyhow::Error>))
            .try_for_each_concurrent(PARALLEL, |(digest, blob)| async move {
                let size = blob.len() as u64;
                Ok(self.upload_monolithic(repository, &digest, size, full(blob)).await.map(drop)?)
            })
            .await?;
        let push = begin.elapsed();
        rustix::fs::sync();
        let begin = Instant::now();
        let pulls = stream::iter(named).map(|(digest, size)| async move {
            let mut body = self.get_blob_range(repository, &digest, 0..size).await?.body;
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| anyhow::anyhow!("{error}"))?;
                read += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            ensure!(read == size, "{read} of {size} bytes came");
            Ok(())
        });
        pulls.buffer_unordered(PARALLEL).try_collect::<Vec<()>>().await?;
        Ok([push, begin.elapsed()])
    }
}

/// Writes certificate, key and users, and returns the certificate.
fn secrets(folder: &TempDir) -> Result<Vec<u8>> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    fs::write(folder.path().join("tls.crt"), made.cert.pem())?;
    fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem())?;
    fs::write(folder.path().join("htpasswd"), format!("bench:{}\n", bcrypt::hash("bench", COST)?))?;
    Ok(made.cert.pem().into_bytes())
}

fn own(root: &Path, folder: &TempDir, authority: &[u8]) -> Result<Side> {
    let [address] = free_ports()?;
    let at = folder.path().display();
    let secured = format!(
        "\n  tls: {{certificate: {at}/tls.crt, key: {at}/tls.key}}\nauth: {{htpasswd: {{realm: bench, path: {at}/htpasswd}}}}"
    );
    let process = registry(root, folder, &address, &secured)?;
    Side::new(&address, authority, vec![process])
}

fn gate(root: &Path, folder: &TempDir, authority: &[u8]) -> Result<Side> {
    let [behind, address, health] = free_ports()?;
    let registry = registry(root, folder, &behind, "")?;
    let port = behind.rsplit_once(':').context("no port")?.1;
    let mut command = Command::new(root.join("target/release/reposure-surrogate"));
    command.args(["gate", "--listen", &address, "--health", &health, "--registry-port", port]);
    command.arg("--tls").arg(folder.path()).arg("--users").arg(folder.path());
    let gate = start(command, folder, &address)?;
    Side::new(&address, authority, vec![gate, registry])
}

/// Starts Distribution with this at the end of its configuration of HTTP.
fn registry(root: &Path, folder: &TempDir, address: &str, more: &str) -> Result<Process> {
    let name = address.replace(':', "-");
    let blobs = folder.path().join(&name);
    let config = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: '{address}'\n  secret: bench\n  relativeurls: true{more}\n",
        blobs.display()
    );
    let path = folder.path().join(format!("{name}.yml"));
    fs::write(&path, config)?;
    let mut command = Command::new(root.join("build/bin/registry3"));
    command.env("OTEL_TRACES_EXPORTER", "none").arg("serve").arg(&path);
    start(command, folder, address)
}

impl Side {
    fn new(address: &str, authority: &[u8], processes: Vec<Process>) -> Result<Self> {
        let mut options = DirectOptions::new(format!("https://{address}").parse()?);
        options.trust = TrustAnchors::Pem(authority.to_vec());
        let credentials =
            Credentials::Basic { username: "bench".into(), password: "bench".to_owned().into() };
        options.credentials = std::sync::Arc::new(FixedCredentials::from(credentials));
        Ok(Self {
            client: Client::new(DirectTransport::new(options)?),
            _processes: processes,
            times: Default::default(),
        })
    }
}

fn print(size: usize, sides: &mut [Side; 2]) {
    println!("\n| {size} MiB | registry | median s | range | times its own |");
    println!("|---|---|---|---|---|");
    for (index, what) in ["push", "pull"].into_iter().enumerate() {
        let mut own = 0.0;
        for (side, name) in sides.iter_mut().zip(["with TLS and password", "behind the gate"]) {
            let times = &mut side.times[index];
            times.sort_by(f64::total_cmp);
            let middle = median(times);
            let (low, high) = (times.first().copied().unwrap_or(0.0), times.last().copied().unwrap_or(0.0));
            if own == 0.0 {
                own = middle;
            }
            println!("| {what} | {name} | {middle:.2} | {low:.2}-{high:.2} | {:.2} |", middle / own);
        }
    }
}
