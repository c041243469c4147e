//! What a process said on standard error, as far as it helps to know.

use std::io;

use crate::text::excerpt;

/// How much is kept, in bytes: the beginning, which says what went wrong first.
const LIMIT: usize = 4 << 10;

/// Texts of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Diagnosis(Vec<u8>);

impl Diagnosis {
    /// Adds what it said.
    pub(super) fn add(&mut self, text: &[u8]) {
        let left = LIMIT.saturating_sub(self.0.len());
        self.0.extend_from_slice(&text[..text.len().min(left)]);
        if !text.is_empty() && !self.0.ends_with(b"\n") && self.0.len() < LIMIT {
            self.0.push(b'\n');
        }
    }

    /// Tells whether the process ended without a word.
    ///
    /// # Errors
    /// What it said.
    pub(super) fn outcome(&self) -> io::Result<()> {
        let lines: Vec<String> = self.0.split(|byte| *byte == b'\n').map(excerpt).collect();
        let said: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        if said.is_empty() { Ok(()) } else { Err(io::Error::other(said.join(": "))) }
    }
}
