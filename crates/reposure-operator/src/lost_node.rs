//! Takes a surrogate off a node that is lost.
//!
//! Kubernetes deletes the pods of such a node, but waits for ever for the node to say that they have ended, and a StatefulSet has no
//! second pod of a name. Two surrogates at once do no harm: a surrogate keeps nothing but unfinished uploads.
//!
//! Nodes belong to the cluster: only an operator for all of it may read them. Any other sees by the pod itself what Kubernetes' node
//! controllers have said of its node, which no kubelet says.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{Node, Pod, PodCondition},
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client,
    api::{DeleteParams, Preconditions},
};
use reposure_api::Reason;
use tokio::time::timeout;

/// How long a node must have been lost: one that restarts is back before.
const LOST: SignedDuration = SignedDuration::from_secs(60);
/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(5);
/// The reason for which the taints of a node that is lost evict its pods, in the condition `DisruptionTarget`
/// ([Kubernetes 1.26](https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions) and later).
const EVICTED: &str = "DeletionByTaintManager";

/// Deletes `pod` by force if it should have ended by now and its node has been lost for a minute. Says what is known of it; nothing
/// while all goes its way.
///
/// Dropping the future leaves it deleted or not; the call can be repeated.
pub(crate) async fn take_off(client: &Client, pod: &Pod, now: Timestamp) -> Option<(Reason, String)> {
    let (node_name, end) = overdue(pod, now)?;
    let node = Api::<Node>::all(client.clone());
    let since = match timeout(LIMIT, node.get(node_name)).await {
        Ok(Ok(node)) => lost_since(&node)?,
        Ok(Err(error)) => {
            tracing::debug!(node = node_name, "the node cannot be read: {error}");
            cut_off_since(pod, end)?
        }
        Err(_elapsed) => return None,
    };
    if now.duration_since(since) >= LOST {
        delete(client, pod, node_name).await;
    }
    Some((Reason::NodeLost, format!("its node {node_name} has not been ready since {since}")))
}

/// Returns the node of a pod that should have ended by now, and by when.
fn overdue(pod: &Pod, now: Timestamp) -> Option<(&str, Timestamp)> {
    let end = pod.metadata.deletion_timestamp.as_ref()?.0;
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    (now > end).then_some((node, end))
}

/// Returns since when a node has not been ready; none if it is.
fn lost_since(node: &Node) -> Option<Timestamp> {
    let conditions = node.status.as_ref()?.conditions.as_deref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    if ready.status == "True" {
        return None;
    }
    Some(ready.last_transition_time.as_ref()?.0)
}

/// Returns since when, by what the pod says, nothing was heard of its node; none if its kubelet may still end it.
///
/// - The node lifecycle controller takes `Ready` from the pods of a node that is not ready, and nothing else: a kubelet takes it only with
///   `ContainersReady`, or for a readiness gate, which a surrogate has none of unless somebody's webhook gives it one.
/// - Where it was not ready before, what evicts it says so. A kubelet that is there ends it by the time it was given.
fn cut_off_since(pod: &Pod, end: Timestamp) -> Option<Timestamp> {
    let ready = condition(pod, "Ready")?;
    let containers = condition(pod, "ContainersReady")?;
    let has_gates = pod.spec.as_ref()?.readiness_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    if ready.status == "False" && containers.status == "True" && !has_gates {
        return Some(ready.last_transition_time.as_ref()?.0);
    }
    let target = condition(pod, "DisruptionTarget")?;
    let is_evicted = target.status == "True" && target.reason.as_deref() == Some(EVICTED);
    is_evicted.then_some(end)
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|condition| condition.type_ == type_)
}

async fn delete(client: &Client, pod: &Pod, node: &str) {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        // Not the one that has taken its place meanwhile.
        preconditions: Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    let api = Api::<Pod>::namespaced(client.clone(), namespace);
    match timeout(LIMIT, api.delete(name, &parameters)).await {
        Ok(Ok(_)) => tracing::warn!(pod = name, node, "the surrogate is taken off a node that is lost"),
        Ok(Err(error)) => tracing::warn!(pod = name, node, "the pod cannot be taken off: {error}"),
        Err(_elapsed) => tracing::warn!(pod = name, node, "the pod cannot be taken off: no answer"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn pod(metadata: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": metadata, "spec": {"containers": [], "nodeName": "n"}}))
            .unwrap()
    }

    #[test]
    fn only_a_pod_that_should_have_ended_is_looked_at() {
        let going = pod(&json!({"deletionTimestamp": "2026-01-01T00:00:30Z"}));
        assert_eq!(overdue(&going, at("2026-01-01T00:00:20Z")), None, "it may still end by itself");
        let end = at("2026-01-01T00:00:30Z");
        assert_eq!(overdue(&going, at("2026-01-01T00:00:31Z")), Some(("n", end)));
        assert_eq!(overdue(&pod(&json!({})), at("2026-01-01T00:00:31Z")), None);
    }

    #[test]
    fn a_node_is_lost_when_it_is_not_ready_or_says_nothing() {
        let node = |status: &str| -> Node {
            let ready =
                json!({"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"});
            serde_json::from_value(json!({"metadata": {}, "status": {"conditions": [ready]}})).unwrap()
        };
        assert_eq!(lost_since(&node("True")), None);
        for status in ["False", "Unknown"] {
            assert_eq!(lost_since(&node(status)), Some(at("2026-01-01T00:00:00Z")));
        }
        assert_eq!(lost_since(&Node::default()), None);
    }

    #[test]
    fn a_pod_tells_that_its_node_is_lost_where_the_node_may_not_be_read() {
        let end = at("2026-01-01T00:01:00Z");
        let told = |conditions: &[(&str, &str, &str)], gates: Value| {
            let conditions: Vec<_> = conditions
                .iter()
                .map(|(type_, status, reason)| {
                    json!({"type": type_, "status": status, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"})
                })
                .collect();
            let mut pod = pod(&json!({}));
            pod.spec.as_mut().unwrap().readiness_gates = serde_json::from_value(gates).unwrap();
            pod.status = serde_json::from_value(json!({"conditions": conditions})).unwrap();
            cut_off_since(&pod, end)
        };
        let since = |conditions: &[(&str, &str, &str)]| told(conditions, json!(null));
        let marked = [("Ready", "False", ""), ("ContainersReady", "True", "")];
        assert_eq!(since(&marked), Some(at("2026-01-01T00:00:00Z")));
        assert_eq!(told(&marked, json!([{"conditionType": "a/b"}])), None, "it may be the gate's");
        let ended =
            [("Ready", "False", "ContainersNotReady"), ("ContainersReady", "False", "ContainersNotReady")];
        assert_eq!(since(&ended), None, "the kubelet says that, and is there");
        assert_eq!(since(&[("Ready", "True", ""), ("ContainersReady", "True", "")]), None);
        assert_eq!(since(&[]), None);
        let target = |reason| [ended[0], ended[1], ("DisruptionTarget", "True", reason)];
        assert_eq!(since(&target(EVICTED)), Some(end));
        assert_eq!(since(&target("EvictionByEvictionAPI")), None);
    }
}
