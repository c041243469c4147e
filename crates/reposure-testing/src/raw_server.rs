//! A server that answers bytes which need not be HTTP.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// How much of a request's headers is read at most, in bytes.
const REQUEST: usize = 64 << 10;

/// What a [`RawServer`] answers.
#[derive(Clone, Debug, Default)]
pub struct RawAnswer {
    /// What comes first.
    pub start: Vec<u8>,
    /// What comes then, again and again until the client has enough; empty for an end.
    pub forever: Vec<u8>,
}

/// A server that reads the headers of each request, answers the same bytes and closes the connection.
#[derive(Debug)]
pub struct RawServer {
    address: SocketAddr,
    task: AbortHandle,
}

impl RawServer {
    /// Starts to listen on a free port of the loopback interface, until it is dropped.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(answer: RawAnswer) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, answer.clone()));
            }
        });
        Ok(Self { address, task: task.abort_handle() })
    }

    /// Returns `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: RawAnswer) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") && request.len() < REQUEST {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(&answer.start).await?;
    while !answer.forever.is_empty() {
        stream.write_all(&answer.forever).await?;
    }
    stream.shutdown().await?;
    // What is not read when the socket is closed makes the client lose what it has not read yet.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    Ok(())
}
