//! What connections, listener and handle share.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::rngs::StdRng;
use tokio::sync::watch;

use super::link::{Cut, Link};

/// What a relay has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes taken from clients, whether or not they reached the server.
    pub up: u64,
    /// Bytes taken from the server, whether or not they reached a client.
    pub down: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections cut by the relay.
    pub cuts: u64,
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) target: SocketAddr,
    link: watch::Sender<Link>,
    /// Until when connections are refused; each change of it cuts all that there are.
    refused: watch::Sender<Instant>,
    /// Each change of it makes all connections silent that there are.
    forgotten: watch::Sender<()>,
    /// Each change of it makes all connections lead nowhere that there are.
    swallowed: watch::Sender<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counts: Counts,
    random: StdRng,
    /// At how many bytes there is an outage, and for how long.
    outage: Option<(u64, Duration)>,
    returned: Option<Instant>,
    /// From when on the link is free for bytes of any connection, up and down.
    free: [Instant; 2],
}

impl State {
    /// Plans the cuts of a link.
    fn plan(&mut self, link: &Link) {
        self.random = link.random();
        let taken = self.counts.up + self.counts.down;
        self.outage = link.outage.as_ref().map(|outage| (taken + outage.after, outage.lasting));
    }
}

impl Shared {
    pub(super) fn new(target: SocketAddr, link: Link) -> Self {
        let mut state = State {
            counts: Counts::default(),
            random: link.random(),
            outage: None,
            returned: None,
            free: [Instant::now(); 2],
        };
        state.plan(&link);
        let (link, refused) = (watch::Sender::new(link), watch::Sender::new(Instant::now()));
        let (forgotten, swallowed) = (watch::Sender::new(()), watch::Sender::new(()));
        Self { target, link, refused, forgotten, swallowed, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, link: Link) {
        self.state().plan(&link);
        self.link.send_replace(link);
    }

    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    pub(super) fn cut(&self, lasting: Duration) {
        self.refused.send_replace(Instant::now() + lasting);
    }

    pub(super) fn refused(&self) -> watch::Receiver<Instant> {
        self.refused.subscribe()
    }

    pub(super) fn forget(&self) {
        self.forgotten.send_replace(());
    }

    pub(super) fn forgotten(&self) -> watch::Receiver<()> {
        self.forgotten.subscribe()
    }

    pub(super) fn swallow(&self) {
        self.swallowed.send_replace(());
    }

    pub(super) fn swallowed(&self) -> watch::Receiver<()> {
        self.swallowed.subscribe()
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }

    pub(super) fn returned(&self) -> Option<Instant> {
        self.state().returned
    }

    pub(super) fn returns(&self) {
        self.state().returned = Some(Instant::now());
    }

    /// Counts a connection, and says where it is to be cut.
    pub(super) fn opened(&self) -> Option<Cut> {
        let mut state = self.state();
        state.counts.connections += 1;
        self.link.borrow().next_cut(&mut state.random)
    }

    /// Counts a cut.
    pub(super) fn was_cut(&self) {
        self.state().counts.cuts += 1;
    }

    /// Takes so much time of the link for bytes of one connection, and says from when on they are on their way.
    pub(super) fn occupy(&self, direction: Direction, time: Duration) -> Instant {
        let mut state = self.state();
        let free = &mut state.free[usize::from(direction == Direction::Down)];
        *free = (*free).max(Instant::now()) + time;
        *free
    }

    /// Counts bytes, and cuts all connections if that is due.
    pub(super) fn took(&self, direction: Direction, bytes: usize) {
        let mut state = self.state();
        match direction {
            Direction::Up => state.counts.up += bytes as u64,
            Direction::Down => state.counts.down += bytes as u64,
        }
        let taken = state.counts.up + state.counts.down;
        if let Some((_, lasting)) = state.outage.take_if(|(after, _)| taken >= *after) {
            self.cut(lasting);
        }
    }
}
