//! `reposure-surrogate session`: the real process before a surrogate that runs.

use std::{
    fs,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reposure_oci::Digest;
use reposure_parcel::{
    config::Access,
    hello::Hello,
    session::{GREETING, is_greeting},
    wire::{self, Right},
};
use reposure_surrogate::Surrogate;
use reposure_testing::{
    MemoryRegistry, Options,
    http2::{NO_SETTINGS, PREFACE, Windows},
};
use rustix::net::{RecvFlags, recv};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixListener,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::harness;

const PROGRAM: &str = env!("CARGO_BIN_EXE_reposure-surrogate");
/// By when everything has to have happened: far more than it takes.
const DEADLINE: Duration = Duration::from_secs(30);
/// By when a process has ended whose client is gone: well before it would give up waiting for one that says nothing, which is after 5 s.
const SOON: Duration = Duration::from_secs(2);
/// How often is looked for what happens elsewhere.
const POLL: Duration = Duration::from_millis(10);
/// More than pipes and sockets hold, in bytes.
const LARGE: u32 = 32 << 20;

/// A surrogate that lets sessions in.
struct Stage {
    registry: MemoryRegistry,
    surrogate: Surrogate,
    config: PathBuf,
    folder: TempDir,
}

impl Stage {
    async fn start() -> Self {
        let registry = MemoryRegistry::start(Options::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut config = harness::config(&registry.host(), Access::Loopback);
        // The namespace of such names is one for all tests.
        config.session_socket = Some(folder.path().display().to_string());
        let path = folder.path().join("config.json");
        fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
        let surrogate = Surrogate::start(config).await.unwrap();
        Self { registry, surrogate, config: path, folder }
    }

    /// Changes what the processes of sessions are told, not the surrogate that runs.
    fn change_config(&self, key: &str, value: &str) {
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&self.config).unwrap()).unwrap();
        config[key] = value.into();
        fs::write(&self.config, config.to_string()).unwrap();
    }

    /// Leads the processes of sessions to us in place of the surrogate.
    fn replace_surrogate(&self) -> UnixListener {
        let name = self.folder.path().join("other");
        self.change_config("sessionSocket", name.to_str().unwrap());
        UnixListener::bind(format!("\0{}", name.display())).unwrap()
    }

    fn session(&self) -> Child {
        self.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["session".as_ref(), "--config".as_ref(), self.config.as_os_str()]);
        command.stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

async fn greeted(output: &mut (impl AsyncRead + Unpin)) {
    let mut line = Vec::new();
    while line.len() < GREETING {
        match output.read_u8().await.expect("a greeting") {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    assert!(is_greeting(&line), "{line:?}");
}

/// Opens HTTP/2 over the standard streams of a process that has greeted.
async fn http(
    output: impl AsyncRead + Send + Unpin + 'static,
    input: impl AsyncWrite + Send + Unpin + 'static,
) -> http2::SendRequest<Full<Bytes>> {
    let stream = TokioIo::new(tokio::io::join(output, input));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Lets a process greet, and opens HTTP/2 over its standard streams.
async fn speak(child: &mut Child) -> http2::SendRequest<Full<Bytes>> {
    let (mut output, input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    greeted(&mut output).await;
    http(output, input).await
}

async fn pull(http: &mut http2::SendRequest<Full<Bytes>>, blob: &[u8]) -> Bytes {
    whole(http.send_request(get_blob(blob)).await.unwrap()).await
}

fn get_blob(blob: &[u8]) -> Request<Full<Bytes>> {
    get(&format!("/v2/app/blobs/{}", Digest::sha256_of(blob)))
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://surrogate{path}")).body(Full::default()).unwrap()
}

async fn whole(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

async fn end(child: &mut Child) -> ExitStatus {
    timeout(DEADLINE, child.wait()).await.expect("it ends").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_speaks_for_the_surrogate_with_every_right() {
    let stage = Stage::start().await;
    let blob = harness::bytes(1, 3 << 20);
    stage.registry.put_blob("app", blob.clone());
    let mut child = stage.session();
    let mut http = speak(&mut child).await;
    let response = http.send_request(get(wire::HELLO)).await.unwrap();
    assert!(response.headers().contains_key(wire::VERSION_HEADER));
    let hello: Hello = serde_json::from_slice(&whole(response).await).unwrap();
    assert_eq!((hello.right, hello.registry.as_str()), (Right::Admin, "reg"));
    assert_eq!(pull(&mut http, &blob).await, blob);
    drop(http);
    assert!(end(&mut child).await.success());
}

/// With the usual ones a push takes a round trip for every 64 KiB, or with hyper's own for every MiB.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_raises_both_windows_of_what_comes() {
    let stage = Stage::start().await;
    let mut child = stage.session();
    let (mut output, mut input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    greeted(&mut output).await;
    input.write_all(&[PREFACE, NO_SETTINGS].concat()).await.unwrap();
    let windows = timeout(DEADLINE, Windows::read(&mut output)).await.expect("one is raised").unwrap();
    assert_eq!(windows, Windows { stream: 16 << 20, connection: 32 << 20 });
}

/// It does nothing but wait then: each byte would be copied twice more.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_hands_its_pipes_over() {
    let stage = Stage::start().await;
    let blob = harness::bytes(3, 3 << 20);
    stage.registry.put_blob("app", blob.clone());
    let mut child = stage.session();
    let mut http = speak(&mut child).await;
    assert_eq!(pull(&mut http, &blob).await, blob);
    let figures = fs::read_to_string(format!("/proc/{}/io", child.id().unwrap())).unwrap();
    let written = figures.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
    assert!(written.parse::<usize>().unwrap() < blob.len(), "{figures}");
    child.kill().await.unwrap();
    let cut =
        async { while http.ready().await.is_ok() && http.send_request(get(wire::HELLO)).await.is_ok() {} };
    timeout(DEADLINE, cut).await.expect("a session ends with its process");
}

/// A security module may take away what one process gives to another.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_pipes_do_not_arrive_is_told_to_copy() {
    let stage = Stage::start().await;
    let socket = format!("\0{}", stage.folder.path().display());
    let mut process = tokio::net::UnixStream::connect(socket).await.unwrap();
    process.write_all(b"H").await.unwrap();
    assert_eq!(process.read_u8().await.unwrap(), b'C');
    let (output, input) = process.into_split();
    let response = http(output, input).await.send_request(get(wire::HELLO)).await.unwrap();
    assert!(response.status().is_success());
}

/// As one session too many is.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_not_let_in_says_so() {
    let stage = Stage::start().await;
    let surrogate = stage.replace_surrogate();
    let mut child = stage.session();
    greeted(child.stdout.as_mut().unwrap()).await;
    let (process, _) = surrogate.accept().await.unwrap();
    // Its pipes are on the way, and not taken.
    while recv(&process, &mut [0], RecvFlags::PEEK).is_err() {
        sleep(POLL).await;
    }
    drop(process);
    let output = timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("lets nobody else in"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_copies() {
    let stage = Stage::start().await;
    let surrogate = stage.replace_surrogate();
    let mut child = stage.session();
    let (mut output, mut input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    greeted(&mut output).await;
    let (mut process, _) = surrogate.accept().await.unwrap();
    // What comes with the byte is not taken.
    assert_eq!(process.read_u8().await.unwrap(), b'H');
    process.write_all(b"Can you hear me?").await.unwrap();
    input.write_all(b"Yes").await.unwrap();
    let (mut heard, mut said) = ([0; 15], [0; 3]);
    output.read_exact(&mut heard).await.unwrap();
    process.read_exact(&mut said).await.unwrap();
    assert_eq!((&heard, &said), (b"an you hear me?", b"Yes"));
    drop(input);
    assert!(end(&mut child).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_pipe_is_copied() {
    let stage = Stage::start().await;
    let blob = harness::bytes(4, 3 << 20);
    stage.registry.put_blob("app", blob.clone());
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut command = stage.command();
    command.stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs));
    let mut child = command.spawn().unwrap();
    // It holds the other end as long as it is there.
    drop(command);
    ours.set_nonblocking(true).unwrap();
    let (mut output, input) = tokio::net::UnixStream::from_std(ours).unwrap().into_split();
    greeted(&mut output).await;
    let mut http = http(output, input).await;
    assert_eq!(pull(&mut http, &blob).await, blob);
    drop(http);
    assert!(end(&mut child).await.success());
}

/// A container runtime may keep the pipe of a client that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_input_though_nobody_reads_its_output() {
    let stage = Stage::start().await;
    let blob = harness::bytes(2, LARGE as usize);
    stage.registry.put_blob("app", blob.clone());
    let mut child = stage.session();
    let mut output = child.stdout.take().unwrap();
    greeted(&mut output).await;
    let _kept = output.as_fd().try_clone_to_owned().unwrap();
    let stream = TokioIo::new(tokio::io::join(output, child.stdin.take().unwrap()));
    let (mut http, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(LARGE)
        .initial_connection_window_size(LARGE)
        .handshake::<_, Full<Bytes>>(stream)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let response = http.send_request(get_blob(&blob)).await;
    assert!(response.unwrap().status().is_success());
    // The rest of the blob fills the pipe.
    connection.abort();
    let _ = connection.await;
    let ended = timeout(SOON, child.wait()).await.expect("it does not wait for anybody").unwrap();
    assert!(ended.code().is_some(), "a signal ended it");
    // Nobody is there any more for what the registry still sends.
    let dropped = async {
        while !stage.registry.requests().iter().any(|entry| entry.abandoned) {
            sleep(POLL).await;
        }
    };
    timeout(DEADLINE, dropped).await.expect("the registry is not read to the end");
}

/// Which of a client's pipes is seen to be closed first is chance.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_more_is_no_failure() {
    let stage = Stage::start().await;
    let mut child = stage.session();
    let (mut output, mut input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    greeted(&mut output).await;
    drop(output);
    // The surrogate answers the preface and these empty settings, for nobody to read.
    input.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    assert!(end(&mut child).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_surrogate_says_so() {
    let stage = Stage::start().await;
    stage.change_config("sessionSocket", "nobody listens there");
    let output = timeout(DEADLINE, stage.session().wait_with_output()).await.unwrap().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot join the running surrogate"), "{said}");
}

/// What it has begun to say it says to its end, and nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_surrogate_that_ends_says_goodbye() {
    let stage = Stage::start().await;
    let blob = harness::bytes(5, 3 << 20);
    stage.registry.put_blob("app", blob.clone());
    let mut child = stage.session();
    let (mut output, input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    greeted(&mut output).await;
    // The window is small, so that the surrogate waits for us.
    let (mut http, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(64 << 10)
        .handshake::<_, Full<Bytes>>(TokioIo::new(tokio::io::join(output, input)))
        .await
        .unwrap();
    tokio::spawn(connection);
    let response = http.send_request(get_blob(&blob)).await.unwrap();
    let stopping = tokio::spawn(stage.surrogate.stop());
    let refused = async {
        while http.ready().await.is_ok() && http.send_request(get(wire::HELLO)).await.is_ok() {
            sleep(POLL).await;
        }
    };
    timeout(DEADLINE, refused).await.expect("new requests are taken");
    assert!(!stopping.is_finished(), "it does not wait for what is under way");
    assert_eq!(timeout(DEADLINE, whole(response)).await.unwrap(), blob);
    timeout(SOON, stopping).await.expect("nobody holds it up").unwrap();
    drop(http);
    end(&mut child).await;
}
