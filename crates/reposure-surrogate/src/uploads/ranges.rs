//! Which bytes of a blob are here.

use reposure_parcel::upload::Range;

/// Ranges of bytes in order, not touching each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    /// Returns the ranges.
    pub(super) fn as_slice(&self) -> &[Range] {
        &self.0
    }

    /// Returns the offset of the first byte that is not here.
    pub(super) fn prefix(&self) -> u64 {
        self.0.first().filter(|range| range.start == 0).map_or(0, |range| range.end)
    }

    /// Returns the offset behind the last byte that is here.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |range| range.end)
    }

    /// Tells whether all of `wanted` is here.
    pub(super) fn contains(&self, wanted: Range) -> bool {
        wanted.start >= wanted.end
            || self.0.iter().any(|range| range.start <= wanted.start && wanted.end <= range.end)
    }

    /// Returns the parts of `wanted` that are not here.
    pub(super) fn missing(&self, wanted: Range) -> Vec<Range> {
        let mut missing = Vec::new();
        let mut start = wanted.start;
        for range in self.0.iter().filter(|range| range.end > wanted.start && range.start < wanted.end) {
            if range.start > start {
                missing.push(Range { start, end: range.start });
            }
            start = start.max(range.end);
        }
        if start < wanted.end {
            missing.push(Range { start, end: wanted.end });
        }
        missing
    }

    /// Adds a range.
    pub(super) fn insert(&mut self, new: Range) {
        if new.start >= new.end {
            return;
        }
        let first = self.0.partition_point(|range| range.end < new.start);
        let behind = self.0.partition_point(|range| range.start <= new.end);
        let touched = &self.0[first..behind];
        let start = touched.first().map_or(new.start, |range| range.start.min(new.start));
        let end = touched.last().map_or(new.end, |range| range.end.max(new.end));
        self.0.splice(first..behind, [Range { start, end }]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range {
        Range { start, end }
    }

    #[test]
    fn agrees_with_a_set_of_bytes() {
        let mut ranges = Ranges::default();
        let mut bytes = [false; 64];
        // A fixed walk that overlaps, touches and nests.
        for step in 0_u64..200 {
            let start = (step * 29) % 60;
            let new = range(start, start + (step * 7) % 5);
            ranges.insert(new);
            (new.start..new.end).for_each(|offset| bytes[usize::try_from(offset).unwrap()] = true);
            for (offset, there) in bytes.iter().enumerate() {
                let offset = offset as u64;
                assert_eq!(ranges.contains(range(offset, offset + 1)), *there, "step {step}, byte {offset}");
            }
            assert!(ranges.as_slice().windows(2).all(|pair| pair[0].end < pair[1].start), "{ranges:?}");
            if step % 40 == 39 {
                (ranges, bytes) = (Ranges::default(), [false; 64]);
            }
        }
    }

    #[test]
    fn names_what_is_missing() {
        let mut ranges = Ranges::default();
        ranges.insert(range(10, 20));
        ranges.insert(range(30, 40));
        assert_eq!(ranges.missing(range(0, 50)), [range(0, 10), range(20, 30), range(40, 50)]);
        assert_eq!(ranges.missing(range(12, 18)), []);
        assert_eq!(ranges.missing(range(15, 35)), [range(20, 30)]);
        assert_eq!((ranges.prefix(), ranges.end()), (0, 40));
        ranges.insert(range(0, 10));
        assert_eq!((ranges.prefix(), ranges.as_slice().len()), (20, 2));
    }
}
