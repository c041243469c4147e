//! What the gate before the built-in registry costs: CNCF Distribution with TLS and a password of its own, beside Distribution with
//! neither behind a gate with both, on this machine.

use std::{fs, path::Path, process::Command, time::Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::BodyExt as _;
use reposure_e2e::processor;
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
    /// The registry, and what stands before it.
    processes: Vec<Process>,
    taken: [Taken; 2],
}

/// What was measured of pushes, or of pulls.
#[derive(Default)]
struct Taken {
    /// The seconds that each took.
    times: Vec<f64>,
    /// The seconds of a processor that all took: of each process, and of this one, which is the client.
    work: Vec<f64>,
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
            let repository: RepositoryName = format!("run/{run}").parse()?;
            sides[(run + turn) % 2].there_and_back(&repository, &blobs).await?;
        }
    }
    print(args, &mut sides);
    Ok(())
}

impl Side {
    fn new(address: &str, authority: &[u8], processes: Vec<Process>) -> Result<Self> {
        let mut options = DirectOptions::new(format!("https://{address}").parse()?);
        options.trust = TrustAnchors::Pem(authority.to_vec());
        let credentials =
            Credentials::Basic { username: "bench".into(), password: "bench".to_owned().into() };
        options.credentials = std::sync::Arc::new(FixedCredentials::from(credentials));
        let client = Client::new(DirectTransport::new(options)?);
        Ok(Self { client, processes, taken: Default::default() })
    }

    async fn there_and_back(&mut self, repository: &RepositoryName, blobs: &[Vec<u8>]) -> Result<()> {
        let blobs: Vec<_> = blobs.iter().map(|blob| (Digest::sha256_of(blob), blob.clone())).collect();
        let named: Vec<_> = blobs.iter().map(|(digest, blob)| (digest.clone(), blob.len() as u64)).collect();
        let client = self.client.clone();
        self.measure(0, push(&client, repository, blobs)).await?;
        self.measure(1, pull(&client, repository, named)).await
    }

    async fn measure(&mut self, what: usize, work: impl Future<Output = Result<()>>) -> Result<()> {
        rustix::fs::sync();
        let before = self.work()?;
        let begin = Instant::now();
        work.await?;
        let time = begin.elapsed().as_secs_f64();
        let after = self.work()?;
        let taken = &mut self.taken[what];
        taken.times.push(time);
        taken.work.resize(after.len(), 0.0);
        for (sum, (after, before)) in taken.work.iter_mut().zip(after.iter().zip(before)) {
            *sum += after - before;
        }
        Ok(())
    }

    fn work(&self) -> Result<Vec<f64>> {
        let ours = std::iter::once(std::process::id());
        ours.chain(self.processes.iter().map(Process::id)).map(processor::seconds).collect()
    }
}

async fn push(
    client: &Client<DirectTransport>,
    repository: &RepositoryName,
    blobs: Vec<(Digest, Vec<u8>)>,
) -> Result<()> {
    stream::iter(blobs.into_iter().map(Ok::<_, anyhow::Error>))
        .try_for_each_concurrent(PARALLEL, |(digest, blob)| async move {
            let size = blob.len() as u64;
            Ok(client.upload_monolithic(repository, &digest, size, full(blob)).await.map(drop)?)
        })
        .await
}

async fn pull(
    client: &Client<DirectTransport>,
    repository: &RepositoryName,
    blobs: Vec<(Digest, u64)>,
) -> Result<()> {
    let pulls = stream::iter(blobs).map(|(digest, size)| async move {
        let mut body = client.get_blob_range(repository, &digest, 0..size).await?.body;
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| anyhow::anyhow!("{error}"))?;
            read += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        ensure!(read == size, "{read} of {size} bytes came");
        Ok(())
    });
    pulls.buffer_unordered(PARALLEL).try_collect::<Vec<()>>().await.map(drop)
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
    Side::new(&address, authority, vec![registry, gate])
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

#[expect(clippy::cast_precision_loss, reason = "runs are few")]
fn print(args: &GateArgs, sides: &mut [Side; 2]) {
    println!(
        "\n| {} MiB | registry | median s | range | times its own | work of client, registry, gate |",
        args.size
    );
    println!("|---|---|---|---|---|---|");
    for (index, what) in ["push", "pull"].into_iter().enumerate() {
        let mut own = 0.0;
        for (side, name) in sides.iter_mut().zip(["with TLS and password", "behind the gate"]) {
            let Taken { times, work } = &mut side.taken[index];
            times.sort_by(f64::total_cmp);
            let middle = median(times);
            let (low, high) = (times.first().copied().unwrap_or(0.0), times.last().copied().unwrap_or(0.0));
            if own == 0.0 {
                own = middle;
            }
            let ratio = middle / own;
            let work: Vec<_> = work.iter().map(|sum| format!("{:.3} s", sum / args.runs as f64)).collect();
            let work = work.join(", ");
            println!("| {what} | {name} | {middle:.3} | {low:.3}-{high:.3} | {ratio:.2} | {work} |");
        }
    }
}
