//! What Prometheus may know, in its [text format](https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).
//! No names of repositories: whoever reads metrics need not know them, and they would be many.

use std::fmt::Write as _;

use reposure_parcel::status::{Reason, Status};

/// Writes what a status holds of numbers.
pub(crate) fn text(status: &Status) -> String {
    let up = u64::from(status.registry.reason == Reason::Ok);
    let uploads = u64::try_from(status.open_uploads).unwrap_or(u64::MAX);
    let metrics = [
        (
            "connections_total",
            "counter",
            "Connections to the API's port that were accepted",
            status.connections,
        ),
        ("open_uploads", "gauge", "Uploads that are open", uploads),
        ("registry_up", "gauge", "Whether the registry answers and takes the credentials", up),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in metrics {
        let name = format!("reposure_surrogate_{name}");
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    text
}
