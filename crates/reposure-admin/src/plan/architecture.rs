//! On which nodes an image runs, and how several pods of it share them.

use k8s_openapi::{
    api::core::v1::{
        Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
        TopologySpreadConstraint,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use reposure_api::labels::{Application, selector};

/// Returns what this program is built for, as nodes name it, and so what the image is built for that it runs in. Empty where
/// Kubernetes has no name for it. Of the image that a command line tool installs it says nothing.
pub fn own_architecture() -> Vec<String> {
    let name = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        same @ ("arm" | "s390x" | "riscv64") => same,
        _ => return Vec::new(),
    };
    vec![name.into()]
}

/// Asks for nodes with Linux and one of `architectures`; of any where there are none.
///
/// An image for others would be pulled, and then end with "exec format error" again and again.
pub(crate) fn affinity(architectures: &[String]) -> Affinity {
    let mut expressions = vec![is_in("kubernetes.io/os", &["linux".into()])];
    if !architectures.is_empty() {
        expressions.push(is_in("kubernetes.io/arch", architectures));
    }
    let term = NodeSelectorTerm { match_expressions: Some(expressions), match_fields: None };
    let node_affinity = NodeAffinity {
        required_during_scheduling_ignored_during_execution: Some(NodeSelector {
            node_selector_terms: vec![term],
        }),
        ..NodeAffinity::default()
    };
    Affinity { node_affinity: Some(node_affinity), ..Affinity::default() }
}

/// Asks for another node for each pod of `application`, where there is one.
pub(crate) fn apart(application: Application) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(LabelSelector {
            match_labels: Some(selector(application, None)),
            match_expressions: None,
        }),
        ..TopologySpreadConstraint::default()
    }
}

fn is_in(key: &str, values: &[String]) -> NodeSelectorRequirement {
    NodeSelectorRequirement { key: key.into(), operator: "In".into(), values: Some(values.to_vec()) }
}
