//! How many ranges are fetched at once, where each connection turns out to have a bandwidth of its own.

use std::time::Duration;

/// How often that is looked at: long enough for a connection to come to its speed.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// A connection that brings so many bytes in a period is not what holds a pull up: between neighbours one brings several times as much.
const AMPLE: u64 = 16 << 20;
/// What twice as many have to bring, in percent of what came before, so that still more are tried.
const WORTH_IT: u64 = 125;

/// Doubles the ranges in flight for as long as that brings more.
#[derive(Debug)]
pub(super) struct Growth {
    ranges: usize,
    most: usize,
    /// What came in a period with fewer, in bytes.
    before: Option<u64>,
    /// Whether the connections of a period were new in it, so that it says little.
    is_beginning: bool,
}

impl Growth {
    /// Starts with so many ranges in flight, which become `most` at most.
    pub(super) const fn new(ranges: usize, most: usize) -> Self {
        Self { ranges, most, before: None, is_beginning: true }
    }

    /// Takes note of the bytes that a period brought, and returns how many more there should be from now on.
    pub(super) fn more(&mut self, bytes: u64) -> usize {
        // A link that is down says nothing of what it brings when it is there.
        if bytes == 0 || std::mem::take(&mut self.is_beginning) || self.ranges >= self.most {
            return 0;
        }
        let is_ample = bytes / self.ranges.max(1) as u64 >= AMPLE;
        let was_worth_it = self.before.is_none_or(|before| bytes >= before.saturating_mul(WORTH_IT) / 100);
        if is_ample || !was_worth_it {
            self.most = self.ranges;
            return 0;
        }
        let more = self.ranges.clamp(1, self.most - self.ranges);
        *self = Self { ranges: self.ranges + more, most: self.most, before: Some(bytes), is_beginning: true };
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEBIBYTE: u64 = 1 << 20;

    /// Returns how many there are after each period, on a link that brings what `bytes` says for so many.
    fn ranges(mut growth: Growth, bytes: impl Fn(usize) -> u64) -> Vec<usize> {
        let period = |_| {
            let brought = bytes(growth.ranges);
            growth.more(brought);
            growth.ranges
        };
        (0..8).map(period).collect()
    }

    #[test]
    fn connections_with_a_bandwidth_of_their_own_become_the_most() {
        let each = |ranges| ranges as u64 * 2 * MEBIBYTE;
        assert_eq!(ranges(Growth::new(5, 16), each), [5, 10, 10, 16, 16, 16, 16, 16]);
        assert_eq!(ranges(Growth::new(0, 2), |_| MEBIBYTE), [0, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(ranges(Growth::new(7, 7), each), [7; 8], "what the user says is obeyed");
    }

    #[test]
    fn a_link_that_all_share_gets_no_more_than_one_try() {
        assert_eq!(ranges(Growth::new(5, 16), |_| 10 * MEBIBYTE), [5, 10, 10, 10, 10, 10, 10, 10]);
    }

    #[test]
    fn one_that_is_quick_or_down_gets_none() {
        assert_eq!(ranges(Growth::new(5, 16), |_| 5 * AMPLE), [5; 8]);
        assert_eq!(ranges(Growth::new(5, 16), |_| 0), [5; 8]);
    }
}
