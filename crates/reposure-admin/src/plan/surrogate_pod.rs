//! The StatefulSet of a surrogate.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetSpec},
        core::v1::{Container, ContainerPort, PodSpec, PodTemplateSpec, Toleration, VolumeMount},
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use reposure_api::{
    Registry, SurrogateNames,
    labels::{Application, CONFIG_HASH, REGISTRY, labels, selector},
};
use reposure_parcel::{config::Config, session, wire};

use super::{
    architecture::affinity,
    hardening::{Bounds, container_security, http_probe, patient_probe, pod_security, pull_secrets},
    log_format::LogFormat,
    surrogate::{Settings, metadata},
    surrogate_config::hash,
    volumes::{CONFIG_FILE, volumes},
};

/// 64 MiB are buffered for uploads (`reposure_parcel::limits::UPLOAD_MEMORY`) and 16 MiB are a program with its
/// connections; the kernel's own buffers of a fast network count too. The processor bound is no real one.
const BOUNDS: Bounds =
    Bounds { cpu_request: "100m", cpu_limit: "2", memory_request: "64Mi", memory_limit: "160Mi" };
/// How long an ending surrogate may finish what it has begun, in seconds.
const GRACE_SECONDS: i64 = 30;
/// How long a surrogate stays on a node that is lost, in seconds: a node that restarts its kubelet is back by then, and without
/// saying anything Kubernetes waits for 300.
const LOST_NODE_SECONDS: i64 = 30;

/// Returns the StatefulSet of one. `Parallel`, since otherwise a pod that never gets ready is not replaced by a newer
/// one ([forced rollback](https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback)).
pub(crate) fn stateful_set(registry: &Registry, config: &Config, settings: &Settings) -> StatefulSet {
    let names = SurrogateNames::new(&config.registry);
    let application = Application::Surrogate;
    let template = ObjectMeta {
        labels: Some(labels(application, Some(&config.registry), settings.manager.as_str())),
        annotations: Some(BTreeMap::from([
            (CONFIG_HASH.into(), hash(config)),
            (REGISTRY.into(), config.registry.clone()),
        ])),
        ..ObjectMeta::default()
    };
    StatefulSet {
        metadata: metadata(registry, names.stateful_set(), settings),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            pod_management_policy: Some("Parallel".into()),
            selector: LabelSelector {
                match_labels: Some(selector(application, Some(&config.registry))),
                match_expressions: None,
            },
            template: PodTemplateSpec {
                metadata: Some(template),
                spec: Some(pod(registry, config, settings)),
            },
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn pod(registry: &Registry, config: &Config, settings: &Settings) -> PodSpec {
    let names = SurrogateNames::new(&config.registry);
    let (volumes, mounts) =
        volumes(names.config_map(), registry.spec.authority(), registry.spec.credentials());
    PodSpec {
        service_account_name: Some(names.service_account().into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        image_pull_secrets: pull_secrets(settings.pull_secret.as_deref()),
        security_context: Some(pod_security(None)),
        affinity: Some(affinity(&settings.architectures)),
        tolerations: Some(["not-ready", "unreachable"].map(tolerated).into()),
        containers: vec![container(config, settings, mounts)],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

/// Bears the taint `name` of a node for [`LOST_NODE_SECONDS`].
fn tolerated(name: &str) -> Toleration {
    Toleration {
        key: Some(format!("node.kubernetes.io/{name}")),
        operator: Some("Exists".into()),
        effect: Some("NoExecute".into()),
        toleration_seconds: Some(LOST_NODE_SECONDS),
        value: None,
    }
}

fn container(config: &Config, settings: &Settings, mounts: Vec<VolumeMount>) -> Container {
    Container {
        name: session::CONTAINER.into(),
        image: Some(settings.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec![session::PROGRAM.into(), "serve".into()]),
        args: Some(arguments(settings)),
        ports: Some(vec![port("api", config.listen.port()), port("status", wire::STATUS_PORT)]),
        readiness_probe: Some(http_probe(wire::ALIVE, "status", false)),
        liveness_probe: Some(patient_probe(wire::ALIVE, "status", false)),
        resources: Some(BOUNDS.resources()),
        security_context: Some(container_security()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn arguments(settings: &Settings) -> Vec<String> {
    let mut arguments = vec!["--config".into(), CONFIG_FILE.into()];
    arguments.extend(LogFormat::arguments(settings.log_format));
    arguments
}

pub(crate) fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number.into(),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}
