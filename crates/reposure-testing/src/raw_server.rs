//! A server that answers bytes which need not be HTTP.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// How much of a request's headers is read at most, in bytes.
const REQUEST: usize = 64 << 10;

/// When a [`RawServer`] answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// As soon as there is a connection.
    Accepted,
    /// Once something has come, such as the first message of a TLS handshake.
    Begun,
    /// Once the headers of a request have come.
    #[default]
    Asked,
    /// Once the headers of a connection's second request have come; the first one is answered well, with `{}`.
    AskedAgain,
}

/// What a [`RawServer`] answers.
#[derive(Clone, Debug, Default)]
pub struct RawAnswer {
    /// When that is.
    pub when: When,
    /// What comes first.
    pub start: Vec<u8>,
    /// What comes then, again and again until the client has enough; empty for an end.
    pub forever: Vec<u8>,
}

/// A server that answers the same bytes on each connection, and closes it.
#[derive(Debug)]
pub struct RawServer {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    task: AbortHandle,
}

impl RawServer {
    /// Starts to listen on a free port of the loopback interface, until it is dropped.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(answer: RawAnswer) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, sent) = (listener.local_addr()?, Arc::new(AtomicU64::new(0)));
        let counter = sent.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, answer.clone(), counter.clone()));
            }
        });
        Ok(Self { address, sent, task: task.abort_handle() })
    }

    /// Returns `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns how many bytes clients, and the buffers before them, have taken so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: RawAnswer, sent: Arc<AtomicU64>) -> io::Result<()> {
    let is_there = match answer.when {
        When::Accepted => true,
        When::Begun => stream.read_u8().await.is_ok(),
        When::Asked => is_asked(&mut stream).await?,
        When::AskedAgain => {
            let is_asked_first = is_asked(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await?;
            is_asked_first && is_asked(&mut stream).await?
        }
    };
    if !is_there {
        return Ok(());
    }
    stream.write_all(&answer.start).await?;
    while !answer.forever.is_empty() {
        let count = stream.write(&answer.forever).await?;
        sent.fetch_add(count as u64, Ordering::Relaxed);
    }
    stream.shutdown().await?;
    // What is not read when the socket is closed makes the client lose what it has not read yet.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    Ok(())
}

/// Reads the headers of a request; tells whether they came in full.
async fn is_asked(stream: &mut TcpStream) -> io::Result<bool> {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") && request.len() < REQUEST {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
