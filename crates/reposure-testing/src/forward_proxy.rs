//! A proxy for all that goes out, as companies have one: HTTP/1.1 `CONNECT`, over TCP or over TLS.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::registry::tls::Identity;

/// The most that is read of a request, in lines.
const LINES: usize = 100;

/// What a client asked a proxy for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The first line.
    pub line: String,
    /// The header `Proxy-Authorization`.
    pub authorization: Option<String>,
}

/// A proxy that listens until it is dropped.
#[derive(Debug)]
pub struct ForwardProxy {
    address: SocketAddr,
    authority: Option<String>,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: AbortHandle,
}

impl ForwardProxy {
    /// Listens on loopback, and leads to `target` whatever it is asked for; refuses everything where there is none.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(target: Option<SocketAddr>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Self::listen(listener, None, target)
    }

    /// Does the same over TLS, with a certificate of an [`authority`](Self::authority) made at start.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start_over_tls(target: Option<SocketAddr>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let identity = Identity::new(listener.local_addr()?, &[])?;
        Self::listen(listener, Some(identity), target)
    }

    fn listen(
        listener: TcpListener,
        identity: Option<Identity>,
        target: Option<SocketAddr>,
    ) -> io::Result<Self> {
        let (address, asked) = (listener.local_addr()?, Arc::new(Mutex::default()));
        let theirs = Arc::clone(&asked);
        let (tls, authority) = identity.map(|identity| (identity.acceptor, identity.authority)).unzip();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(welcome(stream, tls.clone(), target, Arc::clone(&theirs)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, authority, asked, task: task.abort_handle() })
    }

    /// Returns the PEM of the authority, where it speaks TLS.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Returns `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns what was asked for, and forgets it.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn welcome(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    target: Option<SocketAddr>,
    asked: Arc<Mutex<Vec<Asked>>>,
) -> io::Result<()> {
    match tls {
        Some(tls) => serve(tls.accept(stream).await?, target, asked).await,
        None => serve(stream, target, asked).await,
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    target: Option<SocketAddr>,
    asked: Arc<Mutex<Vec<Asked>>>,
) -> io::Result<()> {
    let mut client = BufReader::new(stream);
    let request = read(&mut client).await?;
    let is_connect = request.line.starts_with("CONNECT ");
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let Some(target) = target.filter(|_| is_connect) else {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    };
    let mut server = TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn read(client: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Asked> {
    let mut asked = Asked::default();
    client.read_line(&mut asked.line).await?;
    asked.line.truncate(asked.line.trim_end().len());
    for _ in 0..LINES {
        let mut line = String::new();
        client.read_line(&mut line).await?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("proxy-authorization") => {
                asked.authorization = Some(value.to_owned());
            }
            Some(_) => {}
            None => break,
        }
    }
    Ok(asked)
}
