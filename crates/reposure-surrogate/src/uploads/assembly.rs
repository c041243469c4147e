//! The bytes of one blob between their arrival, in any order, and their way to the registry, in order.

use std::{collections::BTreeMap, sync::Arc};

use reposure_parcel::upload::Range;

use super::{
    pool::{Pool, SEGMENT, Segment},
    ranges::Ranges,
};

/// The most ranges that do not touch each other. Each chunk under way and each that was cut makes one; who sends single
/// bytes here and there makes more, and is refused.
const RANGES: usize = 1024;

/// The bytes would make too many separate ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upload is in more than {RANGES} pieces")]
pub(super) struct TooFragmented;

/// Bytes in order, on their way out.
#[derive(Debug)]
pub(super) struct Stretch {
    segment: Segment,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for Stretch {
    fn as_ref(&self) -> &[u8] {
        &self.segment.bytes()[self.start..self.end]
    }
}

/// The bytes that arrived and did not leave yet, and which ones ever arrived.
#[derive(Debug)]
pub(super) struct Assembly {
    pool: Arc<Pool>,
    received: Ranges,
    segments: BTreeMap<u64, Segment>,
    taken: u64,
}

impl Assembly {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, received: Ranges::default(), segments: BTreeMap::new(), taken: 0 }
    }

    /// As [`new`](Self::new), where the first `offset` bytes have left before.
    pub(super) fn starting_at(pool: Arc<Pool>, offset: u64) -> Self {
        let mut assembly = Self::new(pool);
        assembly.received.insert(Range { start: 0, end: offset });
        assembly.taken = offset;
        assembly
    }

    /// Returns which bytes arrived.
    pub(super) const fn received(&self) -> &Ranges {
        &self.received
    }

    /// Returns how many bytes left.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes bytes in; those that are here already are dropped.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TooFragmented> {
        if self.received.as_slice().len() >= RANGES {
            return Err(TooFragmented);
        }
        let whole = Range { start: offset, end: offset + bytes.len() as u64 };
        for missing in self.received.missing(whole) {
            let from = to_usize(missing.start - offset);
            let to = to_usize(missing.end - offset);
            self.copy(missing.start, &bytes[from..to]);
        }
        self.received.insert(whole);
        Ok(())
    }

    fn copy(&mut self, mut offset: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let within = to_usize(offset % SEGMENT as u64);
            let length = bytes.len().min(SEGMENT - within);
            let segment = self.segments.entry(offset / SEGMENT as u64).or_insert_with(|| self.pool.take());
            segment.bytes_mut()[within..within + length].copy_from_slice(&bytes[..length]);
            bytes = &bytes[length..];
            offset += length as u64;
        }
    }

    /// Takes the next bytes out: a full segment, or the rest where `size`, the blob's, is known.
    pub(super) fn take(&mut self, size: Option<u64>) -> Option<Stretch> {
        let index = self.taken / SEGMENT as u64;
        let start = index * SEGMENT as u64;
        let end = (start + SEGMENT as u64).min(size.unwrap_or(u64::MAX));
        if end <= self.taken || self.received.prefix() < end {
            return None;
        }
        let segment = self.segments.remove(&index)?;
        let stretch = Stretch { segment, start: to_usize(self.taken - start), end: to_usize(end - start) };
        self.taken = end;
        Some(stretch)
    }

    /// Tells whether [`take`](Self::take) would return something.
    pub(super) fn is_ready(&self, size: Option<u64>) -> bool {
        let start = self.taken - self.taken % SEGMENT as u64;
        let end = (start + SEGMENT as u64).min(size.unwrap_or(u64::MAX));
        end > self.taken && self.received.prefix() >= end
    }

    /// Drops the bytes that did not leave.
    pub(super) fn clear(&mut self) {
        self.segments.clear();
    }
}

/// Converts a difference of offsets within one buffer.
fn to_usize(small: u64) -> usize {
    usize::try_from(small).expect("an offset within a buffer fits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 3 * SEGMENT + 1000;

    fn blob() -> Vec<u8> {
        (0..SIZE).map(|offset| u8::try_from(offset % 251).unwrap()).collect()
    }

    fn drain(assembly: &mut Assembly) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(stretch) = assembly.take(Some(SIZE as u64)) {
            out.extend_from_slice(stretch.as_ref());
        }
        out
    }

    #[test]
    fn puts_bytes_in_order() {
        let (blob, mut assembly) = (blob(), Assembly::new(Arc::default()));
        let mut out = Vec::new();
        let pieces: Vec<usize> = (0..SIZE).step_by(70_001).collect();
        // Backwards in fours, each piece overlapping its neighbours.
        for group in pieces.chunks(4) {
            for start in group.iter().rev() {
                let (from, to) = (start.saturating_sub(5000), (start + 75_000).min(SIZE));
                assembly.write(from as u64, &blob[from..to]).unwrap();
            }
            out.extend(drain(&mut assembly));
        }
        assert_eq!(out.len(), SIZE);
        assert!(out == blob);
        assert_eq!(assembly.taken(), SIZE as u64);
        assert!(assembly.segments.is_empty());
    }

    #[test]
    fn the_first_bytes_at_an_offset_stay() {
        let mut assembly = Assembly::new(Arc::default());
        assembly.write(0, b"aaaa").unwrap();
        assembly.write(0, b"bbbbbb").unwrap();
        assert_eq!(assembly.take(Some(6)).unwrap().as_ref(), b"aaaabb");
        assembly.write(0, b"cccccc").unwrap();
        assert!(assembly.take(Some(6)).is_none());
        assert!(assembly.segments.is_empty(), "what left is not kept again");
    }

    #[test]
    fn holds_the_rest_back_until_the_size_is_known() {
        let mut assembly = Assembly::new(Arc::default());
        assembly.write(0, &vec![1; SEGMENT + 10]).unwrap();
        assert_eq!(assembly.take(None).unwrap().as_ref().len(), SEGMENT);
        assert!(!assembly.is_ready(None) && assembly.take(None).is_none());
        assert_eq!(assembly.take(Some(SEGMENT as u64 + 10)).unwrap().as_ref().len(), 10);
    }

    #[test]
    fn begins_in_the_middle_of_a_segment() {
        let (blob, offset) = (blob(), SEGMENT + 1234);
        let mut assembly = Assembly::starting_at(Arc::default(), offset as u64);
        assert!(!assembly.is_ready(Some(SIZE as u64)));
        assembly.write((SEGMENT - 10) as u64, &blob[SEGMENT - 10..]).unwrap();
        assert_eq!(assembly.received().prefix(), SIZE as u64);
        assert!(drain(&mut assembly) == blob[offset..]);
    }

    #[test]
    fn refuses_to_be_crumbled() {
        let mut assembly = Assembly::new(Arc::default());
        let crumbled = (0..2000).find(|step| assembly.write(step * 2, b"x").is_err());
        assert_eq!(crumbled, Some(RANGES as u64));
    }

    #[test]
    fn segments_are_used_again() {
        let pool = Arc::<Pool>::default();
        let mut assembly = Assembly::new(pool.clone());
        for round in 0..10 {
            assembly.write(round * SEGMENT as u64, &vec![1; SEGMENT]).unwrap();
            drop(assembly.take(None));
        }
        assert_eq!(pool.free(), 1);
        assembly.write(100 << 20, &[1]).unwrap();
        assert_eq!(pool.free(), 0);
        assembly.clear();
        assert_eq!(pool.free(), 1);
    }
}
