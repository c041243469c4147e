//! A TCP relay on loopback, to be put between a client and an API server: it delays, throttles, cuts, swallows and counts.
//!
//! It runs on a thread of its own, so that tests and programs without a runtime hold it, too. What it does not imitate is a
//! congestion window that grows: a connection has its whole bandwidth from its first byte on.

mod connection;
mod lane;
mod link;
mod listener;
mod shared;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{runtime, sync::oneshot};

pub use link::{Cuts, Link, Outage};
pub use shared::Counts;

use shared::Shared;

/// How often [`Relay::wait_for`] looks.
const POLL: Duration = Duration::from_millis(5);

/// A relay that listens until it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens on a free port of the loopback interface and forwards each connection to `target`.
    ///
    /// # Errors
    /// When it cannot listen, or cannot start a thread.
    pub fn start(target: SocketAddr, link: Link) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(target, link));
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = mpsc::channel();
        let theirs = shared.clone();
        let thread =
            thread::Builder::new().name("relay".into()).spawn(move || run(theirs, &ready, stopped))?;
        let address = listening.recv().map_err(io::Error::other)??;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes it another link. Delay and bandwidth hold at once, where connections are cut for those to come.
    pub fn set(&self, link: Link) {
        self.shared.set(link);
    }

    /// Cuts all connections, with what is on its way in them, and refuses others for a time. It may return a moment before.
    pub fn cut(&self, lasting: Duration) {
        self.shared.cut(lasting);
    }

    /// Lets all connections fall silent for good, as a middle box does that has forgotten them: what is sent on them is not even
    /// acknowledged. Others go as before. It may return a moment before.
    pub fn forget(&self) {
        self.shared.forget();
    }

    /// Lets all connections lead nowhere for good, as a middle box does that has lost its other side: what is sent on them is
    /// taken and acknowledged. Others go as before. It may return a moment before.
    pub fn swallow(&self) {
        self.shared.swallow();
    }

    /// Returns what was counted.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Returns when it listened again after the last time that it refused connections; none before and during the first.
    pub fn returned(&self) -> Option<Instant> {
        self.shared.returned()
    }

    /// Blocks until `check` holds for the counts, and returns whether it did in time.
    pub fn wait_for(&self, patience: Duration, check: impl Fn(&Counts) -> bool) -> bool {
        let start = Instant::now();
        while !check(&self.counts()) {
            if start.elapsed() > patience {
                return false;
            }
            thread::sleep(POLL);
        }
        true
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A thread that ended by itself has nothing left to stop.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Relays until it is told to stop, and says first where it listens.
fn run(shared: Arc<Shared>, ready: &mpsc::Sender<io::Result<SocketAddr>>, stopped: oneshot::Receiver<()>) {
    let relay = async {
        match listener::Port::reserve() {
            Ok(port) => {
                tokio::select! {
                    _ = listener::listen(&port, shared, ready) => {}
                    _ = stopped => {}
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    };
    match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(relay),
        Err(error) => drop(ready.send(Err(error))),
    }
}

#[cfg(test)]
mod tests;
