//! One connection through the relay, from its start to its end or cut.

use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use socket2::{SockFilter, SockRef};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    Link,
    lane::{self, Lane},
    link::Cut,
    listener::connect,
    shared::{Direction, Shared},
};

/// How a connection came to its end.
#[derive(Debug)]
pub(super) enum End {
    /// Cut by the relay.
    Cut,
    /// Broken by client or server.
    Broken,
    /// Forgotten by the relay.
    Forgotten,
    /// Taken by the relay, which passes nothing on.
    Swallowed,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, mut client: TcpStream, mut cut: watch::Receiver<()>) {
    let planned = shared.opened();
    let (mut server, mut forgotten, mut swallowed) = (None, shared.forgotten(), shared.swallowed());
    let done = tokio::select! {
        biased;
        _ = cut.changed() => Err(End::Cut),
        _ = forgotten.changed() => Err(End::Forgotten),
        _ = swallowed.changed() => Err(End::Swallowed),
        done = forward(&shared, &mut client, &mut server, planned) => done,
    };
    let by_reset = match done {
        Ok(()) => false,
        Err(End::Broken) => true,
        Err(End::Cut) => {
            shared.was_cut();
            planned.is_none_or(|cut| cut.by_reset)
        }
        Err(End::Forgotten) => return silence(&client, cut).await,
        Err(End::Swallowed) => return swallow(&mut client, cut).await,
    };
    if by_reset {
        for stream in server.iter().chain([&client]) {
            // One that has ended already cannot be reset, and need not be.
            let _ = stream.set_zero_linger();
        }
    }
}

async fn forward(
    shared: &Shared,
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    cut: Option<Cut>,
) -> Result<(), End> {
    let mut link = shared.link();
    let opened = Instant::now() + link.borrow().round_trip;
    open_way(&mut link).await;
    let server = server.insert(connect(shared.target).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let left = AtomicU64::new(cut.map_or(u64::MAX, |cut| cut.after));
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let (heard, idle) = watch::channel(());
    let limit = link.borrow().idle;
    let up = Lane { shared, direction: Direction::Up, left: &left, heard: &heard, opened };
    let down = Lane { direction: Direction::Down, ..up };
    let lanes = async {
        tokio::try_join!(lane::run(up, from_client, to_server), lane::run(down, from_server, to_client))
    };
    tokio::select! {
        done = lanes => done.map(drop),
        () = silent_for(limit, idle) => Err(End::Cut),
    }
}

/// Waits until nothing is heard for so long.
async fn silent_for(limit: Option<Duration>, mut heard: watch::Receiver<()>) {
    match limit {
        Some(limit) => while timeout(limit, heard.changed()).await.is_ok() {},
        None => std::future::pending().await,
    }
}

/// Waits until the link is no black hole.
pub(super) async fn open_way(link: &mut watch::Receiver<Link>) {
    // The sender lives as long as the relay.
    let _ = link.wait_for(|link| !link.blackhole).await;
}

/// Takes all that comes on a connection, and passes nothing on, until it is cut or ends.
async fn swallow(client: &mut TcpStream, mut cut: watch::Receiver<()>) {
    let mut nowhere = tokio::io::sink();
    tokio::select! {
        _ = tokio::io::copy(client, &mut nowhere) => {}
        _ = cut.changed() => {}
    }
}

/// Keeps a connection of which nothing comes any more, until it is cut.
async fn silence(client: &TcpStream, mut cut: watch::Receiver<()>) {
    /// `BPF_RET | BPF_K`, with 0: of each packet nothing is taken.
    const NOTHING: [SockFilter; 1] = [SockFilter::new(0x06, 0, 0, 0)];
    if SockRef::from(client).attach_filter(&NOTHING).is_ok() {
        // The relay may have ended.
        let _ = cut.changed().await;
    }
}
