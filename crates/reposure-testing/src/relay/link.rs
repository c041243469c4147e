//! What a link between client and server is like.

use std::{ops::Range, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// How many bytes are on their way in one direction of a connection at most, whatever bandwidth and delay say.
const MOST_ON_THE_WAY: u64 = 16 << 20;
/// How long bytes wait before a link that is busy, at most: routers have buffers for some ten milliseconds.
const BUFFERED: Duration = Duration::from_millis(10);
/// How much is forwarded at once, in bytes: as much as loopback has in one packet.
pub(super) const PIECE: usize = 64 << 10;

/// A link; by default as fast as it can be, and whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// From a byte that is sent to its answer, half of it each way. A new connection takes another one.
    pub round_trip: Duration,
    /// Bytes per second, in each connection and direction.
    pub bandwidth: Option<u64>,
    /// Bytes per second, in each direction of all connections together.
    pub total: Option<u64>,
    /// Whether connections are accepted and nothing is forwarded, in none of them.
    pub blackhole: bool,
    /// After how much silence, of both directions together, a connection is cut.
    pub idle: Option<Duration>,
    /// Where each connection is cut.
    pub cuts: Option<Cuts>,
    /// When all of them are.
    pub outage: Option<Outage>,
}

/// Cuts of each connection, by its end or by a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cuts {
    /// After how many bytes, of both directions together.
    pub after: Range<u64>,
    /// The same seed makes the same cuts, in the order in which connections come.
    pub seed: u64,
}

/// One cut of all connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// After how many bytes that the relay takes from now on, of all connections and directions together.
    pub after: u64,
    /// For how long other connections are refused.
    pub lasting: Duration,
}

/// The cut of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) after: u64,
    /// Whether by a reset; else by the end of both directions.
    pub(super) by_reset: bool,
}

impl Link {
    /// How many bytes are on their way in one direction of a connection.
    pub(super) fn capacity(&self) -> u64 {
        let time = self.round_trip / 2 + BUFFERED;
        let bytes = self.bandwidth.map_or(MOST_ON_THE_WAY, |bandwidth| {
            u64::try_from(u128::from(bandwidth) * time.as_micros() / 1_000_000).unwrap_or(MOST_ON_THE_WAY)
        });
        bytes.clamp(PIECE as u64, MOST_ON_THE_WAY)
    }

    /// How long it takes until so many bytes are on their way.
    pub(super) fn time(&self, bytes: usize) -> Duration {
        time(self.bandwidth, bytes)
    }

    /// How long the bytes of all other connections wait for these.
    pub(super) fn shared_time(&self, bytes: usize) -> Duration {
        time(self.total, bytes)
    }

    /// The source of the cuts.
    pub(super) fn random(&self) -> StdRng {
        StdRng::seed_from_u64(self.cuts.as_ref().map_or(0, |cuts| cuts.seed))
    }

    /// Says where the next connection is cut.
    pub(super) fn next_cut(&self, random: &mut StdRng) -> Option<Cut> {
        let after = self.cuts.as_ref()?.after.clone();
        Some(Cut { after: random.random_range(after), by_reset: random.random() })
    }
}

fn time(bandwidth: Option<u64>, bytes: usize) -> Duration {
    let time = |bandwidth| Duration::from_nanos(bytes as u64 * 1_000_000_000 / u64::max(bandwidth, 1));
    bandwidth.map_or(Duration::ZERO, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capacity_is_what_the_link_holds() {
        let link =
            Link { round_trip: Duration::from_millis(80), bandwidth: Some(50_000_000), ..Link::default() };
        assert_eq!(link.capacity(), 2_500_000);
        assert_eq!(link.time(50_000), Duration::from_millis(1));
        assert_eq!(Link::default().capacity(), MOST_ON_THE_WAY);
        assert_eq!(Link { bandwidth: Some(1), ..Link::default() }.capacity(), PIECE as u64);
    }

    #[test]
    fn the_same_seed_makes_the_same_cuts() {
        let cuts = |seed| {
            let link = Link { cuts: Some(Cuts { after: 10..1000, seed }), ..Link::default() };
            let mut random = link.random();
            (0..20).map(|_| link.next_cut(&mut random).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(cuts(1), cuts(1));
        assert_ne!(cuts(1), cuts(2));
        assert!(cuts(1).iter().all(|cut| (10..1000).contains(&cut.after)));
    }
}
