//! What every pod here has in common: the profile `restricted` and bounds on what it takes.
//!
//! See the [pod security standards](https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, HTTPGetAction, LocalObjectReference, PodSecurityContext, Probe, ResourceRequirements,
        SeccompProfile, SecurityContext,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};

/// What a container asks for and may take at most, as Kubernetes writes quantities. Both are always named, since quotas
/// of a namespace may require it.
pub(crate) struct Bounds {
    pub(crate) cpu_request: &'static str,
    pub(crate) cpu_limit: &'static str,
    pub(crate) memory_request: &'static str,
    pub(crate) memory_limit: &'static str,
}

impl Bounds {
    pub(crate) fn resources(&self) -> ResourceRequirements {
        let quantities = |cpu: &str, memory: &str| {
            BTreeMap::from([("cpu".into(), Quantity(cpu.into())), ("memory".into(), Quantity(memory.into()))])
        };
        ResourceRequirements {
            requests: Some(quantities(self.cpu_request, self.memory_request)),
            limits: Some(quantities(self.cpu_limit, self.memory_limit)),
            ..ResourceRequirements::default()
        }
    }
}

/// Returns a pod's security context. `user` is a fixed user and group; without one the image names a number of its own,
/// or the platform gives one, as OpenShift does.
pub(crate) fn pod_security(user: Option<i64>) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: user,
        run_as_group: user,
        fs_group: user,
        // A volume of many images is not walked through at each start.
        fs_group_change_policy: user.map(|_| "OnRootMismatch".into()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

pub(crate) fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

pub(crate) fn http_probe(path: &str, port: &str, tls: bool) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(port.into()),
            scheme: tls.then(|| "HTTPS".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(5),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

/// Returns a probe that ends a container only after a minute of silence: a node under load is no reason to cut pushes.
pub(crate) fn patient_probe(path: &str, port: &str, tls: bool) -> Probe {
    Probe {
        failure_threshold: Some(6),
        period_seconds: Some(10),
        timeout_seconds: Some(5),
        ..http_probe(path, port, tls)
    }
}

pub(crate) fn pull_secrets(name: Option<&str>) -> Option<Vec<LocalObjectReference>> {
    name.map(|name| vec![LocalObjectReference { name: name.into() }])
}
