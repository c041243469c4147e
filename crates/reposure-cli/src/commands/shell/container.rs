//! The container that is added, and what becomes of it.

use k8s_openapi::api::core::v1::{
    Capabilities, ContainerStatus, EphemeralContainer, Pod, PodSpec, SeccompProfile, SecurityContext,
};

/// What the names of the containers begin with; a number follows, since none can be removed.
const NAME: &str = "reposure-shell-";
/// The user of our image, which its containers run as where the pod names none. The group is then that of the container runtime, here
/// as there.
const USER: i64 = 65532;
/// Why a container that waits will not start by itself.
const HOPELESS: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// What became of a container.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting(String),
    Running,
    /// It has ended, with this exit code.
    Ended(i32),
    /// It will not start.
    Failed(String),
}

/// Returns a container that sees the processes of the container `target` of `pod`, as the same user, and that the Pod Security Standard
/// `restricted` lets through. So it may read that one's files in `/proc/1/root`.
pub(super) fn container(
    pod: &Pod,
    target: &str,
    image: &str,
    command: &[String],
    terminal: bool,
) -> EphemeralContainer {
    let others = pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_ref()).map_or(0, Vec::len);
    EphemeralContainer {
        name: format!("{NAME}{}", others + 1),
        image: Some(image.into()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(command.to_vec()),
        target_container_name: Some(target.into()),
        stdin: Some(true),
        stdin_once: Some(true),
        tty: Some(terminal),
        security_context: Some(security(pod.spec.as_ref(), target)),
        ..EphemeralContainer::default()
    }
}

fn security(pod: Option<&PodSpec>, target: &str) -> SecurityContext {
    let of_pod = pod.and_then(|pod| pod.security_context.as_ref());
    let container = pod.and_then(|pod| pod.containers.iter().find(|container| container.name == target));
    let of_container = container.and_then(|container| container.security_context.as_ref());
    let user = of_container.and_then(|own| own.run_as_user).or(of_pod.and_then(|pod| pod.run_as_user));
    let group = of_container.and_then(|own| own.run_as_group).or(of_pod.and_then(|pod| pod.run_as_group));
    SecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user.unwrap_or(USER)),
        run_as_group: group,
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
        ..SecurityContext::default()
    }
}

/// Says what became of the container `name` of `pod`.
pub(super) fn state(pod: &Pod, name: &str) -> State {
    let status = pod.status.as_ref().and_then(|status| status.ephemeral_container_statuses.as_ref());
    let of_name = |status: &&ContainerStatus| status.name == name;
    let state = status.and_then(|all| all.iter().find(of_name)).and_then(|status| status.state.as_ref());
    let Some(state) = state else { return State::Waiting("its node has not begun with it".into()) };
    match (&state.running, &state.terminated, &state.waiting) {
        (Some(_), ..) => State::Running,
        // One whose program is not there ends like one that ran.
        (_, Some(end), _) if end.reason.as_deref() == Some("StartError") => {
            State::Failed(end.message.clone().unwrap_or_default())
        }
        (_, Some(end), _) => State::Ended(end.exit_code),
        (_, _, waiting) => {
            let reason = waiting.as_ref().and_then(|waiting| waiting.reason.clone()).unwrap_or_default();
            let message = waiting.as_ref().and_then(|waiting| waiting.message.clone());
            let why = message.map_or_else(|| reason.clone(), |message| format!("{reason}: {message}"));
            if HOPELESS.contains(&reason.as_str()) { State::Failed(why) } else { State::Waiting(why) }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: &Value, status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec, "status": status})).unwrap()
    }

    fn added(spec: &Value) -> EphemeralContainer {
        container(&pod(spec, &json!({})), "surrogate", "busybox", &["sh".into()], true)
    }

    #[test]
    fn it_is_the_same_user_and_has_a_name_of_its_own() {
        let own = json!({"containers": [{"name": "surrogate"}], "securityContext": {"runAsNonRoot": true}});
        let first = added(&own);
        assert_eq!(
            (first.name.as_str(), first.target_container_name.as_deref()),
            ("reposure-shell-1", Some("surrogate"))
        );
        let security = first.security_context.unwrap();
        assert_eq!((security.run_as_user, security.run_as_group), (Some(65532), None));
        let given = json!({"containers": [{"name": "surrogate", "securityContext": {"runAsUser": 7}}],
            "securityContext": {"runAsUser": 8}, "ephemeralContainers": [{"name": "reposure-shell-1"}]});
        let second = added(&given);
        assert_eq!(second.name, "reposure-shell-2");
        let security = second.security_context.unwrap();
        assert_eq!((security.run_as_user, security.run_as_group), (Some(7), None));
    }

    #[test]
    fn what_will_not_start_is_not_waited_for() {
        let of = |state: Value| {
            let status = json!({"name": "s", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": state});
            super::state(
                &pod(&json!({"containers": []}), &json!({"ephemeralContainerStatuses": [status]})),
                "s",
            )
        };
        assert_eq!(of(json!({"running": {}})), State::Running);
        assert_eq!(of(json!({"terminated": {"exitCode": 3}})), State::Ended(3));
        assert_eq!(
            of(json!({"waiting": {"reason": "ContainerCreating"}})),
            State::Waiting("ContainerCreating".into())
        );
        let failed = of(json!({"waiting": {"reason": "ErrImagePull", "message": "no"}}));
        assert_eq!(failed, State::Failed("ErrImagePull: no".into()));
        let no_program = json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "no sh"}});
        assert_eq!(of(no_program), State::Failed("no sh".into()));
        assert!(matches!(super::state(&Pod::default(), "s"), State::Waiting(_)));
    }
}
