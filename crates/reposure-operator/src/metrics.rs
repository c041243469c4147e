//! What Prometheus may know. No names of registries: whoever reads metrics need not know them, and they would be many.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

/// Upper bounds of durations, in seconds: a reconciliation that finds all as it was takes milliseconds, a first one some hundred,
/// and each of its requests may take seconds.
const BOUNDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// What came of a reconciliation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    /// It was carried out.
    Success,
    /// It failed, and is tried again.
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Readiness {
    ready: &'static str,
}

/// What is counted and measured.
pub(crate) struct Metrics {
    registry: Registry,
    reconciles: Family<Result, Counter>,
    durations: Histogram,
    registries: Family<Readiness, Gauge>,
    leader: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("reposure_operator");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The build", build);
        let (reconciles, registries) = (Family::default(), Family::default());
        let (durations, leader) = (Histogram::new(BOUNDS), Gauge::default());
        registry.register("reconciles", "Reconciliations by what came of them", reconciles.clone());
        let help = "How long reconciliations took, in seconds";
        registry.register("reconcile_duration_seconds", help, durations.clone());
        registry.register("registries", "Registries by whether they are ready", registries.clone());
        registry.register("leader", "Whether this operator holds the Lease", leader.clone());
        Self { registry, reconciles, durations, registries, leader }
    }

    /// Counts a reconciliation.
    pub(crate) fn reconciled(&self, result: Outcome, duration: Duration) {
        self.reconciles.get_or_create(&Result { result }).inc();
        self.durations.observe(duration.as_secs_f64());
    }

    /// Says whether this operator leads, and how many registries are ready of how many: none for one that stands by.
    pub(crate) fn set(&self, leads: bool, ready: usize, all: usize) {
        self.leader.set(i64::from(leads));
        let count = |ready, number: usize| {
            self.registries
                .get_or_create(&Readiness { ready })
                .set(i64::try_from(number).unwrap_or(i64::MAX));
        };
        count("true", ready);
        count("false", all.saturating_sub(ready));
    }

    /// Writes everything in the [text format](https://prometheus.io/docs/specs/om/open_metrics_spec/).
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_measures() {
        let metrics = Metrics::new();
        metrics.reconciled(Outcome::Success, Duration::from_millis(7));
        metrics.reconciled(Outcome::Error, Duration::from_secs(1));
        metrics.set(true, 2, 3);
        let text = metrics.text();
        for line in [
            "reposure_operator_reconciles_total{result=\"Success\"} 1",
            "reposure_operator_reconciles_total{result=\"Error\"} 1",
            "reposure_operator_reconcile_duration_seconds_bucket{le=\"0.01\"} 1",
            "reposure_operator_registries{ready=\"false\"} 1",
            "reposure_operator_leader 1",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn the_dashboard_names_what_there_is() {
        let dashboard = include_str!("../../../deploy/grafana-dashboard.json");
        let parsed: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        let metrics = Metrics::new();
        metrics.reconciled(Outcome::Success, Duration::ZERO);
        metrics.set(true, 1, 1);
        let text = metrics.text();
        let expressions: Vec<_> = parsed["panels"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|panel| panel["targets"].as_array().unwrap())
            .map(|target| target["expr"].as_str().unwrap())
            .collect();
        let word = |character: char| !character.is_ascii_alphanumeric() && character != '_';
        let named: Vec<_> = expressions
            .iter()
            .flat_map(|expression| expression.split(word))
            .filter(|name| name.starts_with("reposure_operator_"))
            .collect();
        // What surrogates count is checked there.
        let ours = expressions.iter().filter(|expression| !expression.contains("reposure_surrogate_"));
        assert!(named.len() >= ours.count(), "each asks for something of ours: {expressions:?}");
        for name in named {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in {text}");
        }
    }
}
