//! Text on a terminal. Names and what servers say are anybody's, and may hold what steers one: colours, titles, the cursor.

use std::borrow::Cow;

/// What is shown in place of a character that steers a terminal, so that it shows that there was one.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Returns text of several lines without control characters but the ends of lines and tabs: those are ours.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    replaced(text, |character| character.is_control() && !matches!(character, '\n' | '\t'))
}

/// Returns text that is to be one line, or a part of one: without any control character.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    replaced(text, char::is_control)
}

/// Control characters are C0, DEL and C1: some terminals take U+009B for ESC and `[`.
fn replaced(text: &str, steers: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.contains(&steers) {
        text.replace(steers, REPLACEMENT.encode_utf8(&mut [0; 4])).into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_replaced() {
        assert_eq!(
            text("a\tb\nc: \u{1b}[31mä\u{9b}0m\r\u{7}\u{7f}\0"),
            "a\tb\nc: \u{fffd}[31mä\u{fffd}0m\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(line("a\tb\nc\u{85}d"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
        assert!(matches!(line("as it is: ä☃"), Cow::Borrowed(_)));
    }
}
