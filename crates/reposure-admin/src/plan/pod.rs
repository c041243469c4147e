//! What a pod's status says, in types.

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ContainerStateTerminated, ContainerStateWaiting, Pod},
};
use reposure_api::Reason;

/// The label of a pod with the revision of the StatefulSet that it was made by.
const REVISION: &str = "controller-revision-hash";

/// Says whether `pod` is ready and is to stay.
pub fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && condition(pod, "Ready").is_some_and(|(holds, _, _)| holds)
}

/// Says whether `pod` is of the newest revision of `set`, which makes it, and not of one that is about to be replaced.
///
/// Before its controller has seen the newest specification, a StatefulSet names the revision of an earlier one.
pub fn is_of_newest(pod: &Pod, set: &StatefulSet) -> bool {
    let Some(status) = &set.status else { return false };
    let revision = pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION));
    let is_seen = status.observed_generation >= set.metadata.generation;
    is_seen && revision.is_some() && revision == status.update_revision.as_ref()
}

/// Says why `pod` is not ready, with a message for people.
pub fn why_not_ready(pod: Option<&Pod>) -> (Reason, String) {
    let Some(pod) = pod else { return (Reason::SurrogateMissing, "its pod does not exist yet".into()) };
    if pod.metadata.deletion_timestamp.is_some() {
        return (Reason::SurrogateTerminating, "its pod is being deleted".into());
    }
    if let Some((false, "Unschedulable", message)) = condition(pod, "PodScheduled") {
        return (Reason::Unschedulable, message.into());
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    if phase == "Failed" {
        return (Reason::SurrogateFailed, pod_message(pod, "its pod has failed"));
    }
    match (waiting(pod), last_end(pod)) {
        (Some(waiting), end) => why_waiting(waiting, end),
        (None, Some(end)) if phase != "Running" => (Reason::SurrogateFailed, describe_end(end)),
        _ => (Reason::SurrogateStarting, format!("its pod is {}, but not ready yet", phase.to_lowercase())),
    }
}

fn why_waiting(waiting: &ContainerStateWaiting, end: Option<&ContainerStateTerminated>) -> (Reason, String) {
    let name = waiting.reason.as_deref().unwrap_or_default();
    let mut message = waiting.message.clone().unwrap_or_else(|| name.into());
    let reason = match name {
        "ImagePullBackOff" => Reason::ImagePullBackOff,
        "ErrImagePull" | "ErrImageNeverPull" => Reason::ErrImagePull,
        "InvalidImageName" => Reason::InvalidImageName,
        "CrashLoopBackOff" => Reason::CrashLoopBackOff,
        "CreateContainerConfigError" => Reason::CreateContainerConfigError,
        "CreateContainerError" | "RunContainerError" => Reason::CreateContainerError,
        _ => Reason::SurrogateStarting,
    };
    if let (Reason::CrashLoopBackOff, Some(end)) = (reason, end) {
        message = format!("{message}; {}", describe_end(end));
    }
    (reason, message)
}

fn describe_end(end: &ContainerStateTerminated) -> String {
    let reason = end.reason.as_deref().unwrap_or("Ended");
    let message = end.message.as_deref().map(|message| format!(": {}", message.trim())).unwrap_or_default();
    format!("it ended with exit code {} ({reason}){message}", end.exit_code)
}

fn pod_message(pod: &Pod, default: &str) -> String {
    let status = pod.status.as_ref();
    let parts =
        [status.and_then(|status| status.reason.clone()), status.and_then(|status| status.message.clone())];
    let said: Vec<_> = parts.into_iter().flatten().collect();
    if said.is_empty() { default.into() } else { said.join(": ") }
}

fn waiting(pod: &Pod) -> Option<&ContainerStateWaiting> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    container.state.as_ref()?.waiting.as_ref()
}

fn last_end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    let now = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    now.or_else(|| container.last_state.as_ref().and_then(|state| state.terminated.as_ref()))
}

/// Returns whether a condition of a pod holds, its reason and its message.
fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<(bool, &'a str, &'a str)> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let condition = conditions.iter().find(|condition| condition.type_ == type_)?;
    let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
    Some((condition.status == "True", text(&condition.reason), text(&condition.message)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "status": status})).unwrap()
    }

    fn waiting(reason: &str, message: &str) -> Pod {
        let state = json!({"waiting": {"reason": reason, "message": message}});
        let status = json!({"name": "surrogate", "ready": false, "restartCount": 3, "image": "", "imageID": "",
            "state": state, "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "message": "bad file\n"}}});
        pod(&json!({"phase": "Pending", "containerStatuses": [status]}))
    }

    #[test]
    fn names_why_a_container_waits() {
        let (reason, message) = why_not_ready(Some(&waiting("ImagePullBackOff", "no such image")));
        assert_eq!((reason, message.as_str()), (Reason::ImagePullBackOff, "no such image"));
        let (reason, message) = why_not_ready(Some(&waiting("CrashLoopBackOff", "back-off 10s")));
        assert_eq!(reason, Reason::CrashLoopBackOff);
        assert_eq!(message, "back-off 10s; it ended with exit code 2 (Error): bad file");
        let (reason, _) = why_not_ready(Some(&waiting("ContainerCreating", "")));
        assert_eq!(reason, Reason::SurrogateStarting);
    }

    #[test]
    fn names_a_pod_that_is_missing_going_or_not_placed() {
        assert_eq!(why_not_ready(None).0, Reason::SurrogateMissing);
        let mut going = pod(&json!({"conditions": [{"type": "Ready", "status": "True"}]}));
        assert!(is_ready(&going));
        going.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        assert!(!is_ready(&going));
        assert_eq!(why_not_ready(Some(&going)).0, Reason::SurrogateTerminating);
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"});
        let (reason, message) = why_not_ready(Some(&pod(&json!({"conditions": [condition]}))));
        assert_eq!((reason, message.as_str()), (Reason::Unschedulable, "0/2 nodes"));
    }

    #[test]
    fn a_pod_is_of_the_newest_revision_when_its_set_has_been_seen() {
        let pod = |labels: Value| -> Pod {
            serde_json::from_value(json!({"metadata": {"name": "a-0", "labels": labels}})).unwrap()
        };
        let (old, new) = (pod(json!({REVISION: "a-1"})), pod(json!({REVISION: "a-2"})));
        let set = |status: Value| -> StatefulSet {
            serde_json::from_value(json!({"metadata": {"name": "a", "generation": 2}, "status": status}))
                .unwrap()
        };
        let unseen = set(json!({"replicas": 1, "observedGeneration": 1, "updateRevision": "a-1"}));
        let seen = set(json!({"replicas": 1, "observedGeneration": 2, "updateRevision": "a-2"}));
        assert!(!is_of_newest(&old, &unseen), "its controller has not seen the change");
        assert!(!is_of_newest(&old, &seen), "it is about to be replaced");
        assert!(is_of_newest(&new, &seen));
        assert!(!is_of_newest(&pod(json!({})), &seen), "somebody else has made it");
        let fresh = set(json!({"replicas": 0, "observedGeneration": 2}));
        assert!(!is_of_newest(&pod(json!({})), &fresh) && !is_of_newest(&new, &set(Value::Null)));
    }

    #[test]
    fn names_an_evicted_pod() {
        let evicted = pod(&json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}));
        assert_eq!(why_not_ready(Some(&evicted)), (Reason::SurrogateFailed, "Evicted: low on memory".into()));
    }
}
