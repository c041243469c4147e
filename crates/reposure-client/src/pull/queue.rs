//! Which range is fetched next.

use std::sync::{Mutex, PoisonError};

use reposure_oci::{Descriptor, RepositoryName};

use super::range::Range;

/// What is left of the blobs of a pull.
///
/// Who has fetched a range gets the one behind it, so that most bytes of a blob come in order and are checked while they are
/// written; who finds nothing there begins a blob, and when all are begun he helps with the largest rest, at its end.
pub(super) struct Queue {
    rows: Mutex<Vec<Row>>,
    length: u64,
}

struct Row {
    /// What nobody has taken yet.
    left: Range,
    is_begun: bool,
}

impl Queue {
    /// All of `blobs`, in ranges of `length` bytes. An empty blob gives an empty range, so that its end is seen.
    pub(super) fn new(repository: &RepositoryName, blobs: Vec<Descriptor>, length: u64) -> Self {
        let row =
            |(blob, descriptor)| Row { left: Range::whole(repository, blob, descriptor), is_begun: false };
        Self { rows: Mutex::new(blobs.into_iter().enumerate().map(row).collect()), length: length.max(1) }
    }

    /// Takes a range, for one who has fetched a range of the blob `last`.
    pub(super) fn take(&self, last: Option<usize>) -> Option<Range> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = last.and_then(|blob| rows.get_mut(blob)).filter(|row| row.left.length() > 0) {
            return Some(row.take_first(self.length));
        }
        if let Some(row) = rows.iter_mut().find(|row| !row.is_begun) {
            return Some(row.take_first(self.length));
        }
        let largest = rows.iter_mut().max_by_key(|row| row.left.length())?;
        (largest.left.length() > 0).then(|| largest.take_last(self.length))
    }
}

impl Row {
    fn take_first(&mut self, length: u64) -> Range {
        self.is_begun = true;
        let (start, end) = (self.left.start, self.left.end);
        let border = end.min(start.saturating_add(length));
        self.left.start = border;
        self.left.part(start, border)
    }

    fn take_last(&mut self, length: u64) -> Range {
        let (start, end) = (self.left.start, self.left.end);
        let border = start.max(end.saturating_sub(length));
        self.left.end = border;
        self.left.part(border, end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use reposure_oci::{Digest, MediaType};

    use super::*;

    fn queue(sizes: &[u64], length: u64) -> Queue {
        let blob = |size: &u64| Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of(b""), *size);
        Queue::new(&"app".parse().unwrap(), sizes.iter().map(blob).collect(), length)
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
