//! The Deployment of the registry, and its pod.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
        core::v1::{
            Container, EnvVar, EnvVarSource, PodSpec, PodTemplateSpec, SecretKeySelector, VolumeMount,
        },
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use reposure_api::{
    labels::{Application, CONFIG_HASH, labels, selector},
    names::{SIMPLE, SIMPLE_PORT},
};

use super::{
    HTTP_SECRET_KEY, config, gate,
    options::{SimpleOptions, Storage},
    volumes::{CONFIG_FOLDER, volumes},
};
use crate::{
    object::Manager,
    plan::{
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

pub(super) fn deployment(options: &SimpleOptions, config: &str) -> Deployment {
    let template = ObjectMeta {
        labels: Some(labels(Application::Simple, None, Manager::Cli.as_str())),
        annotations: Some(BTreeMap::from([(CONFIG_HASH.into(), config::hash(config))])),
        ..ObjectMeta::default()
    };
    let is_shared = matches!(options.storage, Storage::S3(_));
    Deployment {
        metadata: options.metadata(),
        spec: Some(DeploymentSpec {
            replicas: Some(if is_shared { options.replicas.into() } else { 1 }),
            // A volume can be mounted on one node at a time.
            strategy: Some(DeploymentStrategy {
                type_: Some(if is_shared { "RollingUpdate" } else { "Recreate" }.into()),
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
        command: Some(vec!["registry".into(), "serve".into(), format!("{CONFIG_FOLDER}/config.yml")]),
        env: Some(environment(options)),
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

fn environment(options: &SimpleOptions) -> Vec<EnvVar> {
    let mut variables = vec![
        of_secret("REGISTRY_HTTP_SECRET", SIMPLE, HTTP_SECRET_KEY),
        // Version 3 would send traces to a collector that is not there.
        EnvVar { name: "OTEL_TRACES_EXPORTER".into(), value: Some("none".into()), value_from: None },
    ];
    if let Storage::S3(s3) = &options.storage
        && let Some(secret) = &s3.secret
    {
        // In variables, since Distribution reads no files but its configuration, which is no place for secrets either.
        variables.push(of_secret("REGISTRY_STORAGE_S3_ACCESSKEY", secret, "access-key"));
        variables.push(of_secret("REGISTRY_STORAGE_S3_SECRETKEY", secret, "secret-key"));
    }
    variables
}

fn of_secret(variable: &str, secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { name: secret.into(), key: key.into(), optional: None };
    EnvVar {
        name: variable.into(),
        value_from: Some(EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() }),
        value: None,
    }
}
