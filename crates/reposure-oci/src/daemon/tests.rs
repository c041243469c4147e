//! A daemon that says what it is told to.

use std::{collections::VecDeque, error::Error, path::PathBuf};

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

use super::*;
use crate::{
    archive::testing::{self, Scratch, Tar},
    digest::Digest,
    image::Artifact,
    transport,
};

const PONG: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";

/// Answers each connection with the next text, and gives the requests in the end.
struct Script {
    scratch: Scratch,
    task: JoinHandle<Vec<Vec<u8>>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let scratch = Scratch::new();
        let listener = UnixListener::bind(scratch.path().join("daemon.sock")).unwrap();
        let mut answers: VecDeque<_> = answers.into_iter().collect();
        let task = tokio::spawn(async move {
            let mut requests = Vec::new();
            while let Some(answer) = answers.pop_front() {
                let (stream, _) = listener.accept().await.unwrap();
                requests.push(serve(stream, &answer).await);
            }
            requests
        });
        Self { scratch, task }
    }

    fn socket(&self) -> PathBuf {
        self.scratch.path().join("daemon.sock")
    }

    fn daemon(&self) -> Daemon {
        Daemon::new(Engine::Docker, DaemonAddress::Unix(self.socket()))
    }
}

/// Reads a request to its end, and answers it.
async fn serve(mut stream: UnixStream, answer: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request);
        let is_chunked = text.contains("transfer-encoding: chunked");
        if text.contains("\r\n\r\n") && (!is_chunked || text.ends_with("\r\n0\r\n\r\n")) {
            break;
        }
        let count = stream.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "the request ended early");
        request.extend_from_slice(&buffer[..count]);
    }
    stream.write_all(answer).await.unwrap();
    request
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

/// An answer in chunks, as the daemons send archives; without the last one it is cut.
fn chunked(body: &[u8], is_whole: bool) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(1000) {
        answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    if is_whole {
        answer.extend_from_slice(b"0\r\n\r\n");
    }
    answer
}

fn saved() -> Vec<u8> {
    let config = testing::config(&[]);
    let list = r#"[{"Config": "config.json", "RepoTags": ["app:v1"], "Layers": []}]"#;
    Tar::new().file("config.json", config).file("manifest.json", list).bytes()
}

fn text(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn an_image_is_spooled_and_opened() {
    let script = Script::new([PONG.into(), chunked(&saved(), true)]);
    let name = "localhost:5000/app:v1@sha256:".to_owned() + Digest::sha256_of("x").hex();
    let archive = script.daemon().image(&name.parse().unwrap(), script.scratch.options()).await.unwrap();
    assert_eq!(archive.select(None).unwrap().names, ["app:v1"]);
    assert!(matches!(archive.entries[0].artifact, Artifact::Image(_)));
    let requests = script.task.await.unwrap();
    let start = format!("GET /images/{name}/get HTTP/1.1\r\n");
    assert!(requests[1].starts_with(start.as_bytes()), "{:?}", String::from_utf8_lossy(&requests[1]));
}

#[tokio::test]
async fn an_archive_that_ends_early_is_an_error() {
    let saved = saved();
    for (sent, is_whole) in [(&saved[..], false), (&saved[..saved.len() / 2], false), (&saved[..700], true)] {
        let script = Script::new([PONG.into(), chunked(sent, is_whole)]);
        let result = script.daemon().image(&"app".parse().unwrap(), script.scratch.options()).await;
        let error = text(&result.unwrap_err());
        let expected = if is_whole {
            "the archive of app seems to be truncated"
        } else {
            "cannot receive the archive of app"
        };
        assert!(
            error.contains("what docker sent of app cannot be used") && error.contains(expected),
            "{error}"
        );
    }
}

#[tokio::test]
async fn refusals_say_what_the_daemon_says() {
    let image = |status: &str, body: &str| {
        let script = Script::new([PONG.into(), answer(status, body)]);
        async move { script.daemon().image(&"app".parse().unwrap(), script.scratch.options()).await.unwrap_err() }
    };
    let error = image("404 Not Found", r#"{"message": "No such image"}"#).await;
    assert!(matches!(&error, DaemonError::NotFound { name, .. } if name.as_str() == "app"), "{error}");
    let error = image("500 Internal Server Error", r#"{"message": "disk on fire"}"#).await;
    assert_eq!(
        error.to_string(),
        "GET /images/app:latest/get of docker: 500 Internal Server Error: disk on fire"
    );
    let error = image("502 Bad Gateway", "proxy\n").await;
    assert!(error.to_string().ends_with("502 Bad Gateway: proxy"), "{error}");
}

#[tokio::test]
async fn a_daemon_that_is_away_is_told_from_a_stranger() {
    let scratch = Scratch::new();
    let path = scratch.path().join("daemon.sock");
    let daemon = Daemon::new(Engine::Podman, DaemonAddress::Unix(path.clone()));
    assert!(matches!(daemon.ping().await, Err(DaemonError::NotRunning { engine: Engine::Podman, .. })));
    // A socket that a daemon has left behind.
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(daemon.ping().await, Err(DaemonError::Unreachable { .. })));
    let script = Script::new([answer("200 OK", "hello")]);
    let result = script.daemon().ping().await;
    assert!(matches!(result, Err(DaemonError::Stranger { status: StatusCode::OK, .. })));
    let script = Script::new([b"SSH-2.0-OpenSSH\r\n".to_vec()]);
    assert!(matches!(script.daemon().ping().await, Err(DaemonError::Broken { .. })));
}

#[tokio::test]
async fn an_archive_is_loaded_as_a_stream() {
    let loaded = r#"{"stream":"Loaded image: app:v1\n"}"#;
    let script = Script::new([PONG.into(), answer("200 OK", loaded)]);
    let pieces =
        ["one ", "two"].map(|piece| Ok::<_, transport::BoxError>(hyper::body::Frame::data(piece.into())));
    let body = http_body_util::StreamBody::new(futures::stream::iter(pieces));
    let body = http_body_util::BodyExt::boxed_unsync(body);
    assert_eq!(script.daemon().load(body).await.unwrap(), ["app:v1"]);
    let request = String::from_utf8(script.task.await.unwrap().remove(1)).unwrap();
    assert!(request.starts_with("POST /images/load?quiet=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"), "{request}");
}

#[tokio::test]
async fn what_cannot_be_loaded_is_an_error() {
    let load = |answer: Vec<u8>| {
        let script = Script::new([PONG.into(), answer]);
        async move { script.daemon().load(transport::empty()).await.unwrap_err() }
    };
    let error = load(answer("200 OK", r#"{"error": "no space"}"#)).await;
    assert_eq!(error.to_string(), "docker cannot load the images: no space");
    let error = load(answer("500 Internal Server Error", r#"{"message": "invalid tar header"}"#)).await;
    assert!(error.to_string().ends_with("500 Internal Server Error: invalid tar header"), "{error}");
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec();
    assert!(matches!(load(cut).await, DaemonError::Broken { .. }));
}
