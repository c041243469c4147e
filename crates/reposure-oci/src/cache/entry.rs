//! The entries of the cache's file.

use crate::digest::Digest;

/// The most entries; the oldest ones go first. With as many layers a machine is busy for days.
pub(super) const ENTRIES: usize = 4096;
/// The largest file in bytes: more than as many entries take, with the longest digests.
pub(super) const BYTES: u64 = 4 << 20;
/// What the file starts with; the number is that of this format.
const START: &str = "reposure layers 1";
/// What stands before the digest of all lines above it.
const END: &str = "end ";

/// What is in the place of an encoder's name, where bytes were only measured.
pub(super) const MEASURED: &str = "measured";

/// What a layer became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The digest of the uncompressed bytes, as they were measured; that of a stamp in an entry of what was measured.
    pub(crate) diff_id: Digest,
    /// How many there are.
    pub(crate) plain_size: u64,
    /// By what they were compressed, or [`MEASURED`]: a word.
    pub(crate) encoder: String,
    /// The digest of the compressed bytes, or of the uncompressed ones in an entry of what was measured.
    pub(crate) digest: Digest,
    /// How many there are.
    pub(crate) size: u64,
}

impl Entry {
    fn line(&self) -> String {
        let Self { diff_id, plain_size, encoder, digest, size } = self;
        format!("{diff_id} {plain_size} {encoder} {digest} {size}\n")
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let entry = Self {
            diff_id: words.next()?.parse().ok()?,
            plain_size: words.next()?.parse().ok()?,
            encoder: words.next()?.into(),
            digest: words.next()?.parse().ok()?,
            size: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(entry)
    }
}

/// Writes a file's text.
pub(super) fn write(entries: &[Entry]) -> String {
    let lines: String = entries.iter().map(Entry::line).collect();
    let text = format!("{START}\n{lines}");
    let digest = Digest::sha256_of(&text);
    format!("{text}{END}{digest}\n")
}

/// Reads a file's text; none if it is not whole.
pub(super) fn read(text: &str) -> Option<Vec<Entry>> {
    let (body, end) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let digest: Digest = end.strip_prefix(END)?.parse().ok()?;
    if Digest::sha256_of(format!("{body}\n")) != digest {
        return None;
    }
    let mut lines = body.lines();
    if lines.next() != Some(START) {
        return None;
    }
    lines.map(Entry::parse).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::cache) fn entry(number: u64) -> Entry {
        let digest = |what: &str| Digest::sha256_of(format!("{what}{number}"));
        Entry {
            diff_id: digest("plain"),
            plain_size: number,
            encoder: "reposure-gzip/1".into(),
            digest: digest("compressed"),
            size: number / 2,
        }
    }

    #[test]
    fn the_format_is_the_first() {
        let text = write(&[entry(7)]);
        insta::assert_snapshot!(text, @r#"
        reposure layers 1
        sha256:2d32ca696ca0b622de4c1a184f7b0e2392d6e566521efdd18b279df5072daa22 7 reposure-gzip/1 sha256:38728f3bf282804fe6b34c7c2ad8e8376324783bc2719d61b889f039d446f20f 3
        end sha256:672244be40506104c4e09a027e0392733f170a991ae1dc6daf57a1f5220335e6
        "#);
        assert_eq!(read(&text), Some(vec![entry(7)]));
        assert_eq!(read(&write(&[])), Some(vec![]));
    }

    #[test]
    fn as_many_entries_as_may_be_fit() {
        let hex = "0".repeat(128);
        let longest = Entry {
            diff_id: format!("sha512:{hex}").parse().unwrap(),
            plain_size: u64::MAX,
            encoder: "gzip-single-6".into(),
            digest: format!("sha512:{hex}").parse().unwrap(),
            size: u64::MAX,
        };
        assert!(write(&vec![longest; ENTRIES]).len() as u64 <= BYTES);
    }

    proptest! {
        #[test]
        fn damage_is_noticed(count in 0u64..5, at: prop::sample::Index, byte: u8) {
            let text = write(&(0..count).map(entry).collect::<Vec<_>>());
            let mut damaged = text.clone().into_bytes();
            let at = at.index(damaged.len());
            damaged[at] = byte;
            if let Ok(damaged) = String::from_utf8(damaged) && damaged != text {
                prop_assert_eq!(read(&damaged), None);
            }
            prop_assert_eq!(read(&text[..at]), None);
        }
    }
}
