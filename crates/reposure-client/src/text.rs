//! Words of others.

/// Takes out what would make a terminal do things: anybody's words may be in it.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
