//! What Prometheus may know. No names of repositories: whoever reads metrics need not know them, and they would be many.

use http::StatusCode;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use reposure_parcel::{
    status::{Reason, Status},
    wire::Right,
};

use crate::hello::BUILD;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    right: String,
    status: &'static str,
}

/// What is counted and measured.
pub(crate) struct Metrics {
    registry: Registry,
    connections: Counter,
    requests: Family<Request, Counter>,
    received: Counter,
    sent: Counter,
    open_uploads: Gauge,
    registry_up: Gauge,
}

impl Metrics {
    /// Takes what counts the connections to the API's port.
    pub(crate) fn new(connections: Counter) -> Self {
        let mut registry = Registry::with_prefix("reposure_surrogate");
        let build = prometheus_client::metrics::info::Info::new([("version", BUILD)]);
        registry.register("build", "The build", build);
        let help = "Connections to the API's port that were accepted";
        registry.register("connections", help, connections.clone());
        let requests = Family::default();
        let help =
            "Requests for the API by the right that came with them and the class of the answer's status";
        registry.register("requests", help, requests.clone());
        let (received, sent) = (Counter::default(), Counter::default());
        let help = "The bodies of requests for the API, in bytes, by what their heads said";
        registry.register("received_bytes", help, received.clone());
        let help = "The bodies of answers of the API, in bytes, by what their heads said";
        registry.register("sent_bytes", help, sent.clone());
        let (open_uploads, registry_up) = (Gauge::default(), Gauge::default());
        registry.register("open_uploads", "Uploads that are open", open_uploads.clone());
        let help = "Whether the registry answers and takes the credentials";
        registry.register("registry_up", help, registry_up.clone());
        Self { registry, connections, requests, received, sent, open_uploads, registry_up }
    }

    /// Returns the number of connections to the API's port that were accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.get()
    }

    /// Counts a request and its answer, with the lengths of their bodies, as far as these are known.
    pub(crate) fn answered(
        &self,
        right: Right,
        status: StatusCode,
        received: Option<u64>,
        sent: Option<u64>,
    ) {
        let request = Request { right: right.to_string(), status: class(status) };
        self.requests.get_or_create(&request).inc();
        self.received.inc_by(received.unwrap_or_default());
        self.sent.inc_by(sent.unwrap_or_default());
    }

    /// Writes everything in the [text format](https://prometheus.io/docs/specs/om/open_metrics_spec/).
    pub(crate) fn text(&self, status: &Status) -> String {
        self.open_uploads.set(i64::try_from(status.open_uploads).unwrap_or(i64::MAX));
        self.registry_up.set((status.registry.reason == Reason::Ok).into());
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

const fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500..600 => "5xx",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use reposure_parcel::status::Check;

    use super::*;

    fn text() -> String {
        let (metrics, check) = (Metrics::new(Counter::default()), Check { reason: Reason::Ok, time: None });
        metrics.answered(Right::Push, StatusCode::OK, Some(7), None);
        metrics.answered(Right::Push, StatusCode::CREATED, Some(2), Some(5));
        metrics.answered(Right::Pull, StatusCode::FORBIDDEN, None, None);
        metrics.text(&Status {
            build: String::new(),
            pod_uid: String::new(),
            registry: check.clone(),
            keys: check,
            certificate: None,
            connections: 0,
            open_uploads: 3,
        })
    }

    #[test]
    fn counts_requests_and_bytes() {
        let text = text();
        for line in [
            "reposure_surrogate_requests_total{right=\"push\",status=\"2xx\"} 2",
            "reposure_surrogate_requests_total{right=\"pull\",status=\"4xx\"} 1",
            "reposure_surrogate_received_bytes_total 9",
            "reposure_surrogate_sent_bytes_total 5",
            "reposure_surrogate_open_uploads 3",
            "reposure_surrogate_registry_up 1",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in {text}");
        }
    }

    #[test]
    fn the_dashboard_names_what_there_is() {
        let dashboard = include_str!("../../../../deploy/grafana-dashboard.json");
        let word = |character: char| !character.is_ascii_alphanumeric() && character != '_';
        let named: Vec<_> =
            dashboard.split(word).filter(|name| name.starts_with("reposure_surrogate_")).collect();
        let text = text();
        assert!(!named.is_empty());
        for name in named {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in {text}");
        }
    }
}
