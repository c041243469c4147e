//! Words of others.

/// How much of a text is shown, in characters.
const EXCERPT: usize = 500;

/// Takes out what would make a terminal do things: anybody's words may be in it.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Returns the beginning of a text that may be in no encoding, and long.
pub(crate) fn excerpt(text: &[u8]) -> String {
    plain(String::from_utf8_lossy(text).trim()).chars().take(EXCERPT).collect()
}
