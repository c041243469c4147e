//! One connection through the relay, from its start to its end or cut.

use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
};

use tokio::{net::TcpStream, sync::watch, time::Instant};

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
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, mut client: TcpStream, mut cut: watch::Receiver<()>) {
    let planned = shared.opened();
    let mut server = None;
    let done = tokio::select! {
        biased;
        _ = cut.changed() => Err(End::Cut),
        done = forward(&shared, &mut client, &mut server, planned) => done,
    };
    let by_reset = match done {
        Ok(()) => false,
        Err(End::Broken) => true,
        Err(End::Cut) => {
            shared.was_cut();
            planned.is_none_or(|cut| cut.by_reset)
        }
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
    let up = Lane { shared, direction: Direction::Up, left: &left, opened };
    let down = Lane { shared, direction: Direction::Down, left: &left, opened };
    tokio::try_join!(lane::run(up, from_client, to_server), lane::run(down, from_server, to_client))?;
    Ok(())
}

/// Waits until the link is no black hole.
pub(super) async fn open_way(link: &mut watch::Receiver<Link>) {
    // The sender lives as long as the relay.
    let _ = link.wait_for(|link| !link.blackhole).await;
}
