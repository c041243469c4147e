//! What was changed in the cluster, a line for each object.

use anyhow::Result;
use reposure_admin::{Applied, Change};
use serde::Serialize;

use crate::{context::Context, format::Format, output};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    kind: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    change: &'static str,
}

/// Prints as `kubectl apply` does: `deployment/reposure-operator created`.
pub(super) fn changes(context: &Context, applied: &[Applied]) -> Result<()> {
    let lines: Vec<Line> = applied.iter().map(line).collect();
    match context.format() {
        format @ (Format::Json | Format::Yaml) => output::structured(format, &lines),
        Format::Name => output::print(&text(&lines, |_| String::new())),
        _ => output::print(&text(&lines, |line| format!(" {}", line.change))),
    }
}

fn text(lines: &[Line], end: impl Fn(&Line) -> String) -> String {
    output::lines(lines.iter().map(|line| format!("{}/{}{}", line.kind.to_lowercase(), line.name, end(line))))
}

fn line(applied: &Applied) -> Line {
    Line {
        kind: applied.object.kind.clone(),
        name: applied.object.name.clone(),
        namespace: applied.object.namespace.clone(),
        change: match applied.change {
            Change::Created => "created",
            Change::Updated => "configured",
            Change::Unchanged => "unchanged",
            Change::Deleted => "deleted",
        },
    }
}
