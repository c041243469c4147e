//! Standard output: tables for people, JSON and YAML for programs.

use std::{
    error::Error,
    fmt::{Display, Write as _},
    io::{ErrorKind, IsTerminal as _, Write as _},
};

use anyhow::{Context as _, Result};
use comfy_table::{ContentArrangement, Table, presets};
use reposure_oci::sink::{UnpackError, WriteError};
use serde::Serialize;

use crate::{format::Format, printable};

/// Rows with their headings.
pub(crate) struct Rows {
    headings: &'static [&'static str],
    /// How many of the columns are shown without `-o wide`.
    narrow: usize,
    cells: Vec<Vec<String>>,
}

impl Rows {
    pub(crate) const fn new(headings: &'static [&'static str], narrow: usize) -> Self {
        Self { headings, narrow, cells: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.cells.push(row.into_iter().map(|cell| printable::line(&cell).into_owned()).collect());
    }

    /// Renders the table with a line for each row.
    pub(crate) fn render(&self, wide: bool) -> String {
        let shown = if wide { self.headings.len() } else { self.narrow };
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.headings[..shown]);
        for row in &self.cells {
            table.add_row(row.iter().take(shown));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 3));
        }
        table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

/// Writes a list: as a table, as names, or as data.
pub(crate) fn list<T: Serialize>(format: Format, data: &T, names: &[String], rows: &Rows) -> Result<()> {
    match format {
        Format::Bare if rows.cells.is_empty() => Ok(()),
        Format::Bare => print(&rows.render(false)),
        Format::Wide => print(&rows.render(true)),
        Format::Name => print(&lines(names)),
        Format::Json | Format::Yaml => structured(format, data),
    }
}

/// Joins lines for people, each with its end.
pub(crate) fn lines<T: Display>(texts: impl IntoIterator<Item = T>) -> String {
    texts.into_iter().fold(String::new(), |mut lines, text| {
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{}", printable::line(&text.to_string()));
        lines
    })
}

/// Writes one fact: as a line, or as data. It is for scripts and goes as it is, since a password may hold anything.
pub(crate) fn fact<T: Serialize>(format: Format, data: &T, line: &str) -> Result<()> {
    match format {
        Format::Bare | Format::Wide | Format::Name => write(&format!("{line}\n")),
        Format::Json | Format::Yaml => structured(format, data),
    }
}

/// Writes data for programs.
pub(crate) fn structured<T: Serialize>(format: Format, data: &T) -> Result<()> {
    match format {
        Format::Yaml => write(&serde_saphyr::to_string(data).context("cannot write YAML")?),
        Format::Json | Format::Bare | Format::Wide | Format::Name => {
            write(&(serde_json::to_string_pretty(data).context("cannot write JSON")? + "\n"))
        }
    }
}

/// Whoever reads our standard output has seen enough.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub(crate) struct Closed;

/// Writes text for people to standard output at once, without what would steer a terminal.
///
/// # Errors
/// [`Closed`] where nobody reads it any more.
pub(crate) fn print(text: &str) -> Result<()> {
    write(&printable::text(text))
}

/// Writes text for programs to standard output at once, as it is.
///
/// # Errors
/// As [`print`].
pub(crate) fn write(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// Writes bytes to standard output at once, as they are.
///
/// # Errors
/// As [`print`].
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        written => written.context("cannot write to standard output"),
    }
}

/// Takes what came of writing an image to standard output: an end of its reader is [`Closed`], and no other end is.
pub(crate) fn written(result: Result<()>) -> Result<()> {
    let of_output = |cause: &(dyn Error + 'static)| match (cause.downcast_ref(), cause.downcast_ref()) {
        (Some(WriteError::Write(error)), _) | (_, Some(UnpackError::Write(error))) => {
            error.kind() == ErrorKind::BrokenPipe
        }
        _ => false,
    };
    result.map_err(|error| if error.chain().any(of_output) { Closed.into() } else { error })
}

/// Tells whether a person sees standard output.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
