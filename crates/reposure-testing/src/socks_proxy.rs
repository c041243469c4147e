//! A proxy that speaks SOCKS 5: [RFC 1928](https://www.rfc-editor.org/rfc/rfc1928), with names and passwords of
//! [RFC 1929](https://www.rfc-editor.org/rfc/rfc1929).

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const NO_USER: u8 = 0;
const USER: u8 = 2;
/// None of the ways to name oneself that the client has.
const NO_WAY: u8 = 0xff;
const NOT_ALLOWED: u8 = 2;
/// Every answer names the address that the proxy connects from; nobody wants to know.
const FROM: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// What a client asked a SOCKS proxy for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where to, and in which form.
    pub target: SocksTarget,
    /// The name and the password that it showed.
    pub user: Option<(String, String)>,
}

/// Where a client wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocksTarget {
    /// An address.
    Address(SocketAddr),
    /// A name, which the proxy resolves, and a port.
    Name(String, u16),
}

/// A proxy that listens until it is dropped.
#[derive(Debug)]
pub struct SocksProxy {
    address: SocketAddr,
    wanted: Arc<Mutex<Vec<Wanted>>>,
    task: AbortHandle,
}

/// What is answered.
#[derive(Clone, Copy, Debug)]
struct Rules {
    target: Option<SocketAddr>,
    asks_user: bool,
}

impl SocksProxy {
    /// Listens on loopback, and leads to `target` whatever it is asked for; refuses everything where there is none. Who it is that
    /// comes, it wants to know if `asks_user`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(target: Option<SocketAddr>, asks_user: bool) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, wanted) = (listener.local_addr()?, Arc::new(Mutex::default()));
        let (theirs, rules) = (Arc::clone(&wanted), Rules { target, asks_user });
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, rules, Arc::clone(&theirs)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, wanted, task: task.abort_handle() })
    }

    /// Returns `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns what was asked for, and forgets it.
    pub fn wanted(&self) -> Vec<Wanted> {
        std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for SocksProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream, rules: Rules, wanted: Arc<Mutex<Vec<Wanted>>>) -> io::Result<()> {
    let user = greet(&mut client, rules.asks_user).await?;
    let [VERSION, CONNECT, 0, form] = read(&mut client).await? else { return Err(malformed()) };
    let target = target(&mut client, form).await?;
    wanted.lock().unwrap_or_else(PoisonError::into_inner).push(Wanted { target, user });
    let Some(target) = rules.target else {
        return client.write_all(&[&[VERSION, NOT_ALLOWED, 0], &FROM[..]].concat()).await;
    };
    let mut server = TcpStream::connect(target).await?;
    client.write_all(&[&[VERSION, 0, 0], &FROM[..]].concat()).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// Agrees on how the client names itself, and lets it do so.
async fn greet(client: &mut TcpStream, asks_user: bool) -> io::Result<Option<(String, String)>> {
    let [VERSION, count] = read(client).await? else { return Err(malformed()) };
    let ways = read_many(client, count).await?;
    let way = if asks_user { USER } else { NO_USER };
    if !ways.contains(&way) {
        client.write_all(&[VERSION, NO_WAY]).await?;
        return Err(malformed());
    }
    client.write_all(&[VERSION, way]).await?;
    if !asks_user {
        return Ok(None);
    }
    let [1, length] = read(client).await? else { return Err(malformed()) };
    let name = read_text(client, length).await?;
    let [length] = read(client).await?;
    let password = read_text(client, length).await?;
    client.write_all(&[1, 0]).await?;
    Ok(Some((name, password)))
}

async fn target(client: &mut TcpStream, form: u8) -> io::Result<SocksTarget> {
    match form {
        1 => {
            let address = Ipv4Addr::from(read::<4>(client).await?);
            Ok(SocksTarget::Address((address, client.read_u16().await?).into()))
        }
        3 => {
            let [length] = read(client).await?;
            let name = read_text(client, length).await?;
            Ok(SocksTarget::Name(name, client.read_u16().await?))
        }
        4 => {
            let address = Ipv6Addr::from(read::<16>(client).await?);
            Ok(SocksTarget::Address((address, client.read_u16().await?).into()))
        }
        _ => Err(malformed()),
    }
}

async fn read<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn read_many(client: &mut TcpStream, length: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length.into()];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn read_text(client: &mut TcpStream, length: u8) -> io::Result<String> {
    String::from_utf8(read_many(client, length).await?).map_err(|_| malformed())
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "this is no SOCKS 5")
}
