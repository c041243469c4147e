//! Cuts a layer into pieces where its content says so.
//!
//! By `FastCDC` v2020, [Xia et al., 2020](https://ieeexplore.ieee.org/document/9055082), with normalisation level 1.

use fastcdc::v2020::{Normalization, cut, select_masks};

use super::segments::Segments;

/// The shortest piece in bytes, but for the last one of a segment.
const MIN: usize = 64 << 10;
/// The length of most pieces, in bytes.
const AVERAGE: usize = 256 << 10;
/// The longest piece in bytes.
pub(super) const MAX: usize = 1 << 20;

/// Cuts bytes that come in any portions.
#[derive(Debug)]
pub(super) struct Cutter {
    segments: Segments,
    /// What was taken of the running segment and not cut off yet: less than [`MAX`] between calls.
    buffer: Vec<u8>,
    masks: (u64, u64),
}

impl Cutter {
    pub(super) fn new() -> Self {
        let masks = select_masks(AVERAGE, Normalization::Level1);
        Self { segments: Segments::new(), buffer: Vec::with_capacity(MAX), masks }
    }

    /// Takes the first of `bytes`, at least one; returns how many, and the pieces that end within them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, Vec<Vec<u8>>) {
        let room = bytes.len().min(MAX - self.buffer.len());
        let (count, ends) = self.segments.take(&bytes[..room]);
        self.buffer.extend_from_slice(&bytes[..count]);
        let pieces = if ends {
            self.rest()
        } else if self.buffer.len() == MAX {
            vec![self.first()]
        } else {
            Vec::new()
        };
        (count, pieces)
    }

    /// Cuts what is left of a segment.
    pub(super) fn rest(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| (!self.buffer.is_empty()).then(|| self.first())).collect()
    }

    fn first(&mut self) -> Vec<u8> {
        let (strict, relaxed) = self.masks;
        let (_, end) = cut(&self.buffer, MIN, AVERAGE, MAX, strict, relaxed, strict << 1, relaxed << 1);
        let mut piece = Vec::with_capacity(MAX);
        piece.extend_from_slice(&self.buffer[end..]);
        std::mem::swap(&mut piece, &mut self.buffer);
        piece.truncate(end);
        piece
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encoder::stream::tests::noise;

    fn pieces(bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
        let (mut cutter, mut pieces) = (Cutter::new(), Vec::new());
        for mut portion in bytes.chunks(step) {
            while !portion.is_empty() {
                let (count, more) = cutter.take(portion);
                pieces.extend(more);
                portion = &portion[count..];
            }
        }
        pieces.extend(cutter.rest());
        pieces
    }

    #[test]
    fn most_pieces_outlive_an_insertion() {
        let bytes = noise(1, 8 << 20);
        let mut changed = bytes.clone();
        changed.splice(3_000_000..3_000_000, *b"something new");
        let (one, two) = (pieces(&bytes, 1 << 16), pieces(&changed, 1 << 16));
        let kept = one.iter().filter(|piece| two.contains(piece)).count();
        assert!(kept + 3 >= one.len() && one.len() > 16, "{kept} of {}", one.len());
        let inner = &one[..one.len() - 1];
        assert!(inner.iter().all(|piece| (MIN..=MAX).contains(&piece.len())));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn portions_make_no_difference(seed: u64, length in 0usize..3_000_000, step in 1000usize..2_000_000) {
            let bytes = noise(seed, length);
            let whole = pieces(&bytes, usize::MAX >> 1);
            prop_assert!(whole.concat() == bytes);
            prop_assert!(pieces(&bytes, step) == whole);
        }
    }
}
