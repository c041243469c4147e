//! The Deployment of the registry, and its pod.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
        core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec, VolumeMount},
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use reposure_api::{
    labels::{Application, CONFIG_HASH, labels, selector},
    names::SIMPLE_PORT,
};
use secrecy::SecretString;

use super::{
    config::{self, CONFIG_FILE},
    gate,
    options::{SimpleOptions, Storage},
    volumes::{CONFIG_FOLDER, volumes},
};
use crate::{
    object::Manager,
    plan::{
        architecture::{affinity, apart},
        hardening::{Bounds, container_security, http_probe, patient_probe, pod_security, pull_secrets},
        surrogate_pod::port,
    },
};

/// The user and group that the registry runs as: the official image would run as root.
const USER: i64 = 1000;
/// Distribution streams: it needs little but what Go's collector leaves.
const BOUNDS: Bounds =
    Bounds { cpu_request: "50m", cpu_limit: "2", memory_request: "64Mi", memory_limit: "512Mi" };
/// How long an ending pod may finish what it has begun, in seconds.
const GRACE_SECONDS: i64 = 30;

pub(super) fn deployment(options: &SimpleOptions, config: &SecretString) -> Deployment {
    let template = ObjectMeta {
        labels: Some(labels(Application::Simple, None, Manager::Cli.as_str())),
        annotations: Some(BTreeMap::from([(CONFIG_HASH.into(), config::hash(config))])),
        ..ObjectMeta::default()
    };
    Deployment {
        metadata: options.metadata(),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas(options).into()),
            // A volume can be mounted on one node at a time.
            strategy: Some(DeploymentStrategy {
                type_: Some(if is_shared(options) { "RollingUpdate" } else { "Recreate" }.into()),
                rolling_update: None,
            }),
            selector: LabelSelector {
                match_labels: Some(selector(Application::Simple, None)),
                match_expressions: None,
            },
            template: PodTemplateSpec { metadata: Some(template), spec: Some(pod(options)) },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

const fn is_shared(options: &SimpleOptions) -> bool {
    matches!(options.storage, Storage::S3(_))
}

const fn replicas(options: &SimpleOptions) -> u16 {
    if is_shared(options) { options.replicas } else { 1 }
}

fn pod(options: &SimpleOptions) -> PodSpec {
    let (volumes, mounts, gate_mounts) = volumes(options);
    let mut containers = vec![container(options, mounts)];
    if options.has_gate() {
        containers.push(gate::container(options, gate_mounts));
    }
    PodSpec {
        automount_service_account_token: Some(false),
        // A Service named `registry` would set variables that Distribution takes for its own.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        image_pull_secrets: pull_secrets(options.pull_secret.as_deref()),
        security_context: Some(pod_security(options.fixed_user.then_some(USER))),
        affinity: Some(affinity(&options.architectures)),
        topology_spread_constraints: (replicas(options) > 1).then(|| vec![apart(Application::Simple)]),
        containers,
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

fn container(options: &SimpleOptions, mounts: Vec<VolumeMount>) -> Container {
    let container = Container {
        name: "registry".into(),
        image: Some(options.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        // Not the image's own entry point, which differs between versions.
        command: Some(vec!["registry".into(), "serve".into(), format!("{CONFIG_FOLDER}/{CONFIG_FILE}")]),
        env: Some(vec![no_traces()]),
        resources: Some(BOUNDS.resources()),
        security_context: Some(container_security()),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    if options.has_gate() {
        // The kubelet cannot reach it: the gate's readiness is its own.
        return container;
    }
    Container {
        ports: Some(vec![port("registry", SIMPLE_PORT)]),
        readiness_probe: Some(http_probe("/", "registry", false)),
        liveness_probe: Some(patient_probe("/", "registry", false)),
        ..container
    }
}

/// Version 3 would send traces to a collector that is not there.
fn no_traces() -> EnvVar {
    EnvVar { name: "OTEL_TRACES_EXPORTER".into(), value: Some("none".into()), value_from: None }
}
