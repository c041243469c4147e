//! A way that is tried by one request before others follow: each that failed would send its body twice.

use std::sync::atomic::{AtomicU8, Ordering};

const UNKNOWN: u8 = 0;
const TRIED: u8 = 1;
const OPEN: u8 = 2;
const CLOSED: u8 = 3;

/// What is known of the way.
#[derive(Debug, Default)]
pub(super) struct Scouted(AtomicU8);

/// Leave to go that way once.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    way: &'a Scouted,
    is_over: bool,
}

impl Scouted {
    /// Returns leave to go that way, if it is open, or if nobody has tried it.
    pub(super) fn turn(&self) -> Option<Turn<'_>> {
        let tried = self.0.compare_exchange(UNKNOWN, TRIED, Ordering::Relaxed, Ordering::Relaxed);
        match tried {
            Ok(_) | Err(OPEN) => Some(Turn { way: self, is_over: false }),
            Err(_) => None,
        }
    }
}

impl Turn<'_> {
    /// Says what came of it. A way that failed is left for good.
    pub(super) fn end(mut self, is_open: bool) {
        self.is_over = true;
        if is_open {
            // What others have found closed meanwhile stays so.
            if self.way.0.compare_exchange(TRIED, OPEN, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                tracing::debug!("chunks go without TLS behind the API server");
            }
        } else {
            self.way.0.store(CLOSED, Ordering::Relaxed);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            // Whoever was dropped on the way says nothing of it.
            let _ = self.way.0.compare_exchange(TRIED, UNKNOWN, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_first_and_the_others_follow() {
        let way = Scouted::default();
        let first = way.turn().unwrap();
        assert!(way.turn().is_none(), "one is on the way");
        drop(first);
        let second = way.turn().unwrap();
        second.end(true);
        let (third, fourth) = (way.turn().unwrap(), way.turn().unwrap());
        drop(third);
        fourth.end(false);
        assert!(way.turn().is_none());
    }

    #[test]
    fn who_comes_late_does_not_open_what_is_closed() {
        let way = Scouted::default();
        way.turn().unwrap().end(true);
        let (one, other) = (way.turn().unwrap(), way.turn().unwrap());
        one.end(false);
        other.end(true);
        assert!(way.turn().is_none());
    }
}
