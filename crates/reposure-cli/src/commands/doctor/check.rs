//! What came of looking at one hop.

use std::time::Duration;

use serde::Serialize;

use super::figures::Figures;
use crate::exit::{self, Kind};

/// How a hop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    /// It may matter, or not.
    Warning,
    Failed,
}

/// One hop.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) state: State,
    detail: String,
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(flatten)]
    figures: Figures,
    /// The kind of a failure.
    #[serde(skip)]
    pub(super) kind: Kind,
}

impl Check {
    pub(super) fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        let (name, detail) = (name.into(), detail.into());
        let figures = Figures::default();
        Self { name, state: State::Ok, detail, hint: None, figures, kind: Kind::Other }
    }

    pub(super) fn warning(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { state: State::Warning, ..Self::ok(name, detail) }
    }

    pub(super) fn failed(kind: Kind, name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { state: State::Failed, kind, ..Self::ok(name, detail) }
    }

    /// Makes a failure of an error, with the error's own kind and what to try.
    pub(super) fn because(name: impl Into<String>, error: &anyhow::Error) -> Self {
        let failed = Self::failed(exit::kind(error), name, exit::line(error));
        Self { hint: exit::hint(error), ..failed }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds what it says in words for programs.
    pub(super) fn figures(self, figures: Figures) -> Self {
        Self { figures, ..self }
    }

    /// Takes a failure for no more than a warning.
    pub(super) fn at_most_warning(self) -> Self {
        Self { state: if self.state == State::Failed { State::Warning } else { self.state }, ..self }
    }

    /// Returns its lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let state = match self.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failed => "failed",
        };
        let mut lines = vec![format!("{state:<9}{:<24}{}", self.name, self.detail)];
        let hints = self.hint.iter().flat_map(|hint| hint.lines().enumerate());
        let begin = |number| if number == 0 { "try:" } else { "" };
        lines.extend(hints.map(|(number, hint)| format!("{:33}{:<5}{hint}", "", begin(number))));
        lines
    }
}

/// Writes a time in milliseconds.
pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
