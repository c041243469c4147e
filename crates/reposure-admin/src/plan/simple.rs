//! The plan of the built-in registry: CNCF Distribution, version 3; version 2.8 works too.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
        core::v1::{
            ConfigMap, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource,
            PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, PodSpec,
            PodTemplateSpec, Secret, SecretKeySelector, SecretVolumeSource, Service, ServicePort,
            ServiceSpec, Volume, VolumeMount, VolumeResourceRequirements,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use reposure_api::{
    labels::{Application, CONFIG_HASH, labels, selector},
    names::{SIMPLE, SIMPLE_AUTHENTICATION, SIMPLE_HTPASSWD, SIMPLE_PORT},
};
use sha2::{Digest as _, Sha256};

use super::{
    Plan, Step,
    hardening::{Bounds, container_security, http_probe, patient_probe, pod_security, pull_secrets},
    surrogate_pod::port,
};
use crate::object::Manager;

/// The image, without the host of the registry that it comes from.
const REPOSITORY: &str = "library/registry:3";
/// The key of what signs the state of uploads.
const HTTP_SECRET_KEY: &str = "http-secret";
/// The user and group that the registry runs as: the official image would run as root.
const USER: i64 = 1000;
/// Distribution streams: it needs little but what Go's collector leaves.
const BOUNDS: Bounds =
    Bounds { cpu_request: "50m", cpu_limit: "2", memory_request: "64Mi", memory_limit: "512Mi" };

/// Where the built-in registry keeps its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In its pod: they go with it.
    Ephemeral,
    /// In a volume claim `reposure-simple`, which uninstalling does not delete unasked.
    Claim {
        /// How much, as Kubernetes writes quantities: `10Gi`.
        size: String,
        /// The storage class; the cluster's default one if none.
        class: Option<String>,
    },
}

impl Default for Storage {
    fn default() -> Self {
        Self::Claim { size: "10Gi".into(), class: None }
    }
}

/// What built-in registry is to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimpleOptions {
    /// The namespace.
    pub namespace: String,
    /// The image, as the kubelet takes it.
    pub image: String,
    /// A Secret to pull the image with.
    pub pull_secret: Option<String>,
    /// Where images are kept.
    pub storage: Storage,
    /// Whether it speaks TLS, with the Secret `reposure-simple-authentication`, keys `tls.crt` and `tls.key`.
    pub tls: bool,
    /// Whether it asks for user and password, those of the Secret `reposure-simple-htpasswd`, key `htpasswd`.
    pub authorization: bool,
    /// Whether it runs as user 1000, which the official image needs and OpenShift, which gives users, refuses.
    pub fixed_user: bool,
}

impl SimpleOptions {
    /// Returns a registry for `namespace`: 10 GiB, no TLS, no passwords, the official image.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            image: Self::image_at(super::DEFAULT_IMAGE_HOST),
            pull_secret: None,
            storage: Storage::default(),
            tls: false,
            authorization: false,
            fixed_user: true,
        }
    }

    /// Returns the official image at the registry `host`.
    pub fn image_at(host: &str) -> String {
        format!("{host}/{REPOSITORY}")
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(SIMPLE.into()),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels(Application::Simple, None, Manager::Cli.as_str())),
            ..ObjectMeta::default()
        }
    }
}

/// Plans the built-in registry: Secret, ConfigMap, volume claim, Service, Deployment.
///
/// The Secret with what signs the state of uploads, and the volume claim, are created only where they are missing.
pub fn simple(options: &SimpleOptions) -> Plan {
    let config = configuration(options);
    let mut steps = vec![
        Step::CreateIfMissing(http_secret(options).into()),
        Step::Apply(config_map(options, &config).into()),
    ];
    if let Storage::Claim { size, class } = &options.storage {
        steps.push(Step::CreateIfMissing(claim(options, size, class.as_deref()).into()));
    }
    steps.push(Step::Apply(simple_service(options).into()));
    steps.push(Step::Apply(deployment(options, &config).into()));
    Plan { steps }
}

/// Returns the Service alone: its address has to be known before a certificate for it can be made.
pub fn simple_service(options: &SimpleOptions) -> Service {
    Service {
        metadata: options.metadata(),
        spec: Some(ServiceSpec {
            selector: Some(selector(Application::Simple, None)),
            ports: Some(vec![ServicePort {
                name: Some("registry".into()),
                port: SIMPLE_PORT.into(),
                target_port: Some(IntOrString::String("registry".into())),
                protocol: Some("TCP".into()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Returns the configuration, which both versions of Distribution read.
///
/// Locations are relative, since absolute ones would name a host that a client behind a proxy cannot reach.
fn configuration(options: &SimpleOptions) -> String {
    let mut text = format!(
        "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
         rootdirectory: /var/lib/registry\n  delete:\n    enabled: true\nhttp:\n  addr: :{SIMPLE_PORT}\n  \
         relativeurls: true\n  headers:\n    X-Content-Type-Options: [nosniff]\n"
    );
    if options.tls {
        text.push_str(
            "  tls:\n    certificate: /etc/reposure/tls/tls.crt\n    key: /etc/reposure/tls/tls.key\n",
        );
    }
    if options.authorization {
        text.push_str(
            "auth:\n  htpasswd:\n    realm: reposure-simple\n    path: /etc/reposure/htpasswd/htpasswd\n",
        );
    }
    text
}

fn config_map(options: &SimpleOptions, config: &str) -> ConfigMap {
    ConfigMap {
        metadata: options.metadata(),
        data: Some(BTreeMap::from([("config.yml".into(), config.into())])),
        ..ConfigMap::default()
    }
}

fn http_secret(options: &SimpleOptions) -> Secret {
    let random: [u8; 32] = rand::random();
    let text = STANDARD_NO_PAD.encode(random);
    Secret {
        metadata: options.metadata(),
        string_data: Some(BTreeMap::from([(HTTP_SECRET_KEY.into(), text)])),
        ..Secret::default()
    }
}

fn claim(options: &SimpleOptions, size: &str, class: Option<&str>) -> PersistentVolumeClaim {
    let requests = BTreeMap::from([("storage".into(), Quantity(size.into()))]);
    PersistentVolumeClaim {
        metadata: options.metadata(),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: class.map(Into::into),
            resources: Some(VolumeResourceRequirements { requests: Some(requests), limits: None }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

fn deployment(options: &SimpleOptions, config: &str) -> Deployment {
    let hash =
        Sha256::digest(config).iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let template = ObjectMeta {
        labels: Some(labels(Application::Simple, None, Manager::Cli.as_str())),
        annotations: Some(BTreeMap::from([(CONFIG_HASH.into(), hash)])),
        ..ObjectMeta::default()
    };
    Deployment {
        metadata: options.metadata(),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            // The volume can be mounted on one node at a time.
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: None }),
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
    let (volumes, mounts) = volumes(options);
    PodSpec {
        automount_service_account_token: Some(false),
        // A Service named `registry` would set variables that Distribution takes for its own.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(30),
        image_pull_secrets: pull_secrets(options.pull_secret.as_deref()),
        security_context: Some(pod_security(options.fixed_user.then_some(USER))),
        containers: vec![container(options, mounts)],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

fn container(options: &SimpleOptions, mounts: Vec<VolumeMount>) -> Container {
    let secret = SecretKeySelector { name: SIMPLE.into(), key: HTTP_SECRET_KEY.into(), optional: None };
    Container {
        name: "registry".into(),
        image: Some(options.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        // Not the image's own entry point, which differs between versions.
        command: Some(["registry", "serve", "/etc/reposure/config/config.yml"].map(Into::into).into()),
        env: Some(vec![
            EnvVar {
                name: "REGISTRY_HTTP_SECRET".into(),
                value_from: Some(EnvVarSource { secret_key_ref: Some(secret), ..EnvVarSource::default() }),
                value: None,
            },
            // Version 3 would send traces to a collector that is not there.
            EnvVar { name: "OTEL_TRACES_EXPORTER".into(), value: Some("none".into()), value_from: None },
        ]),
        ports: Some(vec![port("registry", SIMPLE_PORT)]),
        // `/` is 200 without a password.
        readiness_probe: Some(http_probe("/", "registry", options.tls)),
        liveness_probe: Some(patient_probe("/", "registry", options.tls)),
        resources: Some(BOUNDS.resources()),
        security_context: Some(container_security()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn volumes(options: &SimpleOptions) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mut volumes = vec![data_volume(&options.storage), config_volume()];
    let mut mounts =
        vec![mount("data", "/var/lib/registry", false), mount("config", "/etc/reposure/config", true)];
    if options.tls {
        volumes.push(secret_volume("tls", SIMPLE_AUTHENTICATION));
        mounts.push(mount("tls", "/etc/reposure/tls", true));
    }
    if options.authorization {
        volumes.push(secret_volume("htpasswd", SIMPLE_HTPASSWD));
        mounts.push(mount("htpasswd", "/etc/reposure/htpasswd", true));
    }
    (volumes, mounts)
}

fn data_volume(storage: &Storage) -> Volume {
    let volume = Volume { name: "data".into(), ..Volume::default() };
    match storage {
        Storage::Ephemeral => Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..volume },
        Storage::Claim { .. } => {
            let claim = PersistentVolumeClaimVolumeSource { claim_name: SIMPLE.into(), read_only: None };
            Volume { persistent_volume_claim: Some(claim), ..volume }
        }
    }
}

fn config_volume() -> Volume {
    let config_map = ConfigMapVolumeSource { name: SIMPLE.into(), ..ConfigMapVolumeSource::default() };
    Volume { name: "config".into(), config_map: Some(config_map), ..Volume::default() }
}

/// Returns the volume of a Secret that must exist: without its file of passwords Distribution would make up a user.
fn secret_volume(name: &str, secret: &str) -> Volume {
    let secret = SecretVolumeSource { secret_name: Some(secret.into()), ..SecretVolumeSource::default() };
    Volume { name: name.into(), secret: Some(secret), ..Volume::default() }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
