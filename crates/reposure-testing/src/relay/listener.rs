//! Accepting connections, except for the time when they are refused.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    time::Instant,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep_until,
};

use super::{connection, shared::Shared};

/// How many connections wait to be accepted, at most: what Linux allows by default.
const BACKLOG: u32 = 4096;
/// How much the kernel takes from a sender while the relay takes nothing, in bytes: left to itself it takes megabytes, which a
/// sender would believe to be on the way.
const RECEIVE_BUFFER: u32 = 256 << 10;

/// A port that stays ours while nothing listens at it.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    _holder: TcpSocket,
}

impl Port {
    pub(super) fn reserve() -> io::Result<Self> {
        let holder = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self { address: holder.local_addr()?, _holder: holder })
    }

    fn listen(&self) -> io::Result<TcpListener> {
        bind(self.address)?.listen(BACKLOG)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Two sockets have one port if both say so and at most one of them listens.
    socket.set_reuseaddr(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Opens a connection to the server.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.connect(address).await
}

/// Accepts connections until it is dropped, and says first where.
pub(super) async fn listen(
    port: &Port,
    shared: Arc<Shared>,
    ready: &mpsc::Sender<io::Result<SocketAddr>>,
) -> io::Result<()> {
    let (mut refused, mut open) = (shared.refused(), Open::default());
    let mut listener = port.listen();
    // Whoever started the relay waits for it.
    let _ = ready.send(listener.as_ref().map(|_| port.address).map_err(|error| error.kind().into()));
    loop {
        open.accept(listener?, &shared, &mut refused).await;
        wait_out(&mut refused).await;
        listener = port.listen();
        shared.returns();
    }
}

/// Waits until connections are let in again, which may be put off meanwhile.
async fn wait_out(refused: &mut watch::Receiver<Instant>) {
    loop {
        // Whoever puts it off waits as long as this is borrowed.
        let until = time_left(*refused.borrow_and_update());
        let Some(until) = until else { return };
        sleep_until(until.into()).await;
    }
}

fn time_left(until: Instant) -> Option<Instant> {
    (until > Instant::now()).then_some(until)
}

/// The connections that are open.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    cut: watch::Sender<()>,
}

impl Open {
    /// Accepts connections until they are to be refused.
    async fn accept(
        &mut self,
        listener: TcpListener,
        shared: &Arc<Shared>,
        refused: &mut watch::Receiver<Instant>,
    ) {
        loop {
            tokio::select! {
                biased;
                _ = refused.changed() => {
                    if time_left(*refused.borrow()).is_some() {
                        // Nobody whose connection is cut gets another one.
                        drop(listener);
                        self.cut.send_replace(());
                        return;
                    }
                    self.cut.send_replace(());
                }
                accepted = listener.accept() => {
                    if let Ok((client, _)) = accepted {
                        self.tasks.spawn(connection::serve(shared.clone(), client, self.cut.subscribe()));
                    }
                    while self.tasks.try_join_next().is_some() {}
                }
            }
        }
    }
}
