//! Which range is fetched next.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use reposure_oci::{Descriptor, RepositoryName};

use super::{Extent, range::Range};

/// What is left of the blobs of a pull.
///
/// Who has fetched a range gets the one behind it, so that most bytes of a blob come in order and are checked while they are
/// written; who finds nothing there begins a blob, and when all are begun he helps with the largest rest, at its end.
pub(super) struct Queue {
    rows: Mutex<Vec<Row>>,
    /// All of each blob.
    whole: Vec<Range>,
    length: AtomicU64,
}

struct Row {
    /// What nobody has taken yet, in order.
    left: VecDeque<Range>,
    is_begun: bool,
}

impl Queue {
    /// All of `blobs` but what was `found` of each, in ranges of any length until they are shared. An empty blob gives an empty range, so
    /// that its end is seen.
    pub(super) fn new(repository: &RepositoryName, blobs: Vec<Descriptor>, found: &[Vec<Extent>]) -> Self {
        let whole = |(blob, descriptor)| Range::whole(repository, blob, descriptor);
        let whole: Vec<_> = blobs.into_iter().enumerate().map(whole).collect();
        let rows = whole.iter().zip(found).map(|(whole, found)| Row::new(whole, found)).collect();
        Self { rows: Mutex::new(rows), whole, length: AtomicU64::new(u64::MAX) }
    }

    /// Gives each of so many a share to the end, in ranges of such lengths in bytes: long ones cost the registry least.
    pub(super) fn share_among(&self, jobs: usize, lengths: RangeInclusive<u64>) {
        let left = self.lock().iter().fold(0_u64, |left, row| left.saturating_add(row.length()));
        let share = left / (2 * jobs.max(1) as u64);
        self.length.store(share.clamp(*lengths.start(), *lengths.end()).max(1), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Row>> {
        // Nothing can panic while it is held.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what was found, as ranges of the blobs.
    pub(super) fn found(&self, found: &[Vec<Extent>]) -> Vec<Range> {
        let of = |(whole, found): (&Range, &Vec<Extent>)| -> Vec<Range> {
            found.iter().map(|found| whole.part(found.start, found.end)).collect()
        };
        self.whole.iter().zip(found).flat_map(of).collect()
    }

    /// Takes a range, for one who has fetched a range of the blob `last`.
    pub(super) fn take(&self, last: Option<usize>) -> Option<Range> {
        let (mut rows, length) = (self.lock(), self.length.load(Ordering::Relaxed));
        if let Some(row) = last.and_then(|blob| rows.get_mut(blob)).filter(|row| row.length() > 0) {
            return row.take_first(length);
        }
        if let Some(row) = rows.iter_mut().find(|row| !row.is_begun) {
            return row.take_first(length);
        }
        let largest = rows.iter_mut().max_by_key(|row| row.length())?;
        if largest.length() > 0 { largest.take_last(length) } else { None }
    }
}

impl Row {
    fn new(whole: &Range, found: &[Extent]) -> Self {
        let starts = std::iter::once(whole.start).chain(found.iter().map(|found| found.end));
        let ends = found.iter().map(|found| found.start).chain([whole.end]);
        let gaps = starts.zip(ends).filter(|(start, end)| start < end);
        let mut left: VecDeque<_> = gaps.map(|(start, end)| whole.part(start, end)).collect();
        if whole.length() == 0 {
            left.push_back(whole.clone());
        }
        Self { is_begun: left.is_empty(), left }
    }

    fn length(&self) -> u64 {
        self.left.iter().map(Range::length).sum()
    }

    fn take_first(&mut self, length: u64) -> Option<Range> {
        self.is_begun = true;
        let first = self.left.pop_front()?;
        let border = first.end.min(first.start.saturating_add(length));
        if border < first.end {
            self.left.push_front(first.part(border, first.end));
        }
        Some(first.part(first.start, border))
    }

    fn take_last(&mut self, length: u64) -> Option<Range> {
        let last = self.left.pop_back()?;
        let border = last.start.max(last.end.saturating_sub(length));
        if last.start < border {
            self.left.push_back(last.part(last.start, border));
        }
        Some(last.part(border, last.end))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use reposure_oci::{Digest, MediaType};

    use super::*;

    fn queue(sizes: &[u64], length: u64) -> Queue {
        queue_behind(sizes, &vec![Vec::new(); sizes.len()], length)
    }

    fn queue_behind(sizes: &[u64], found: &[Vec<Extent>], length: u64) -> Queue {
        let blob = |size: &u64| Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of(b""), *size);
        let queue = Queue::new(&"app".parse().unwrap(), sizes.iter().map(blob).collect(), found);
        queue.share_among(1, length..=length);
        queue
    }

    fn taken(queue: &Queue, last: Option<usize>) -> Option<(usize, u64, u64)> {
        queue.take(last).map(|range| (range.blob, range.start, range.end))
    }

    #[test]
    fn goes_on_behind_what_was_fetched_and_helps_at_the_end() {
        let queue = queue(&[25, 5, 0], 10);
        assert_eq!(taken(&queue, None), Some((0, 0, 10)));
        assert_eq!(taken(&queue, None), Some((1, 0, 5)));
        assert_eq!(taken(&queue, Some(1)), Some((2, 0, 0)));
        assert_eq!(taken(&queue, Some(2)), Some((0, 15, 25)));
        assert_eq!(taken(&queue, Some(0)), Some((0, 10, 15)));
        assert_eq!(taken(&queue, Some(0)), None);
    }

    #[test]
    fn what_is_left_is_shared_anew() {
        let queue = queue(&[100], 60);
        assert_eq!(taken(&queue, None), Some((0, 0, 60)));
        queue.share_among(2, 1..=50);
        assert_eq!(taken(&queue, None), Some((0, 90, 100)));
        queue.share_among(2, 20..=50);
        assert_eq!(taken(&queue, Some(0)), Some((0, 60, 80)));
        queue.share_among(1, 0..=0);
        assert_eq!(taken(&queue, Some(0)), Some((0, 80, 81)));
    }

    #[test]
    fn what_was_found_is_not_fetched() {
        let found = [vec![0..10, 15..20], vec![0..2, 2..5], vec![], vec![7..8, 8..9]];
        let queue = queue_behind(&[25, 5, 0, 9], &found, 10);
        let parts: Vec<_> =
            queue.found(&found).iter().map(|range| (range.blob, range.start, range.end)).collect();
        assert_eq!(parts, [(0, 0, 10), (0, 15, 20), (1, 0, 2), (1, 2, 5), (3, 7, 8), (3, 8, 9)]);
        let ranges: Vec<_> = std::iter::from_fn(|| taken(&queue, None)).collect();
        assert_eq!(ranges, [(0, 10, 15), (2, 0, 0), (3, 0, 7), (0, 20, 25)]);
        assert_eq!(taken(&queue, Some(0)), None);
    }

    proptest! {
        /// Every byte is fetched once, whoever comes when.
        #[test]
        fn hands_out_each_byte_once(
            sizes in proptest::collection::vec(0_u64..1000, 0..8),
            length in 0_u64..300,
            who in proptest::collection::vec(0_usize..4, 1..20),
        ) {
            let queue = queue(&sizes, length);
            let mut seen: HashSet<(usize, u64)> = HashSet::new();
            let mut begun: HashSet<usize> = HashSet::new();
            let mut last = [None; 4];
            for worker in who.iter().cycle() {
                let Some(range) = queue.take(last[*worker]) else { break };
                last[*worker] = Some(range.blob);
                begun.insert(range.blob);
                for byte in range.start..range.end {
                    prop_assert!(seen.insert((range.blob, byte)));
                }
            }
            prop_assert_eq!((begun.len(), seen.len() as u64), (sizes.len(), sizes.iter().sum()));
        }
    }
}
