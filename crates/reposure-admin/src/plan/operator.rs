//! The plan of the operator.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec},
        coordination::v1::Lease,
        core::v1::{
            Container, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec, PodTemplateSpec, ServiceAccount,
        },
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use reposure_api::{
    labels::{Application, labels, selector},
    names,
};

use super::{
    Plan,
    architecture::{affinity, apart},
    exec_policy,
    hardening::{Bounds, container_security, http_probe, patient_probe, pod_security, pull_secrets},
    log_format::LogFormat,
    rbac,
    surrogate_pod::port,
};
use crate::object::{Manager, Object};

/// Where the operator's image is by default.
pub const DEFAULT_IMAGE_HOST: &str = "docker.io";
/// The port of `/alive` and `/ready`.
const HEALTH_PORT: u16 = 8080;
/// The argument that asks for `NetworkPolicies`.
pub const NETWORK_POLICIES: &str = "--network-policies";
/// The annotation of the operator's Deployment that says that its policy on `exec` was written, so that it is kept and goes with it.
pub const EXEC_POLICY: &str = "reposure.puccini.cloud/exec-policy";
/// Some hundred registries are a few MiB of objects.
const BOUNDS: Bounds =
    Bounds { cpu_request: "20m", cpu_limit: "1", memory_request: "32Mi", memory_limit: "128Mi" };

/// Which registries an operator sees to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Those of its own namespace.
    #[default]
    Namespace,
    /// Those of these namespaces.
    Namespaces(Vec<String>),
    /// All of the cluster.
    Cluster,
}

/// What operator is to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorOptions {
    /// The operator's namespace.
    pub namespace: String,
    /// Which registries it sees to.
    pub scope: Scope,
    /// The image, for the operator and for its surrogates, as the kubelet takes it.
    pub image: String,
    /// A Secret to pull the image with: in the operator's namespace and in that of each registry.
    pub pull_secret: Option<String>,
    /// A ClusterRole that the operator is to have beside its own.
    pub role: Option<String>,
    /// How many operators there are: one sees to registries, the others stand by.
    pub replicas: u16,
    /// What the image is built for, as nodes name it in the label `kubernetes.io/arch`; any node where it is empty.
    pub architectures: Vec<String>,
    /// How it and its surrogates write logs; where it is not said, the operator as text and its surrogates as JSON.
    pub log_format: Option<LogFormat>,
    /// Whether it makes a `NetworkPolicy` for each surrogate.
    pub network_policies: bool,
    /// Whether a policy of the cluster lets nothing but sessions run in the surrogates that it sees to, which takes an administrator of the
    /// cluster.
    pub exec_policy: bool,
    /// Whether the plan holds the definition of `Registry`, which only an administrator of the cluster may write.
    pub crd: bool,
}

impl OperatorOptions {
    /// Returns an operator for `namespace` with the default image, and the definition of `Registry`.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            scope: Scope::Namespace,
            image: image(DEFAULT_IMAGE_HOST),
            pull_secret: None,
            role: None,
            replicas: 1,
            architectures: Vec::new(),
            log_format: None,
            network_policies: false,
            exec_policy: false,
            crd: true,
        }
    }
}

/// Returns the image of this version at the registry `host`.
pub fn image(host: &str) -> String {
    format!("{host}/reposure/reposure:{}", env!("CARGO_PKG_VERSION"))
}

/// Plans the operator: the definition of `Registry`, ServiceAccount, roles, bindings, policy, Lease, Deployment.
pub fn operator(options: &OperatorOptions) -> Plan {
    let mut objects = Vec::<Object>::new();
    if options.crd {
        objects.extend(super::definition().steps.into_iter().map(|step| step.object().clone()));
    }
    objects.push(service_account(options).into());
    objects.extend(rbac::objects(options));
    objects.extend(operator_exec_policy(options));
    // Without holder and times, which the operators write: it is here so that it goes with them.
    objects.push(Lease { metadata: metadata(options, names::OPERATOR), spec: None }.into());
    objects.push(deployment(options).into());
    Plan::of(objects)
}

/// Returns the policy that lets nothing but sessions run in surrogates, and its binding, where `options` ask for them.
pub fn operator_exec_policy(options: &OperatorOptions) -> Vec<Object> {
    if options.exec_policy { exec_policy::objects(options).into() } else { Vec::new() }
}

/// Returns the metadata of the operator's object `name`.
pub(crate) fn metadata(options: &OperatorOptions, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(options.namespace.clone()),
        labels: Some(labels(Application::Operator, None, Manager::Cli.as_str())),
        ..ObjectMeta::default()
    }
}

fn service_account(options: &OperatorOptions) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(options, names::OPERATOR),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

fn deployment(options: &OperatorOptions) -> Deployment {
    let application = Application::Operator;
    let template = ObjectMeta {
        labels: Some(labels(application, None, Manager::Cli.as_str())),
        ..ObjectMeta::default()
    };
    let annotations = options.exec_policy.then(|| BTreeMap::from([(EXEC_POLICY.into(), "true".into())]));
    Deployment {
        metadata: ObjectMeta { annotations, ..metadata(options, names::OPERATOR) },
        spec: Some(DeploymentSpec {
            replicas: Some(options.replicas.into()),
            selector: LabelSelector {
                match_labels: Some(selector(application, None)),
                match_expressions: None,
            },
            template: PodTemplateSpec { metadata: Some(template), spec: Some(pod(options)) },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn pod(options: &OperatorOptions) -> PodSpec {
    PodSpec {
        service_account_name: Some(names::OPERATOR.into()),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(30),
        image_pull_secrets: pull_secrets(options.pull_secret.as_deref()),
        security_context: Some(pod_security(None)),
        containers: vec![container(options)],
        affinity: Some(affinity(&options.architectures)),
        topology_spread_constraints: (options.replicas > 1).then(|| vec![apart(Application::Operator)]),
        ..PodSpec::default()
    }
}

fn container(options: &OperatorOptions) -> Container {
    Container {
        name: "operator".into(),
        image: Some(options.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["/reposure-operator".into()]),
        args: Some(arguments(options)),
        env: Some(vec![from_field("POD_IP", "status.podIP"), from_field("POD_NAME", "metadata.name")]),
        ports: Some(vec![port("health", HEALTH_PORT)]),
        readiness_probe: Some(http_probe("/ready", "health", false)),
        liveness_probe: Some(patient_probe("/alive", "health", false)),
        resources: Some(BOUNDS.resources()),
        security_context: Some(container_security()),
        ..Container::default()
    }
}

fn arguments(options: &OperatorOptions) -> Vec<String> {
    let mut arguments = match &options.scope {
        Scope::Namespace => vec!["--namespace".into(), options.namespace.clone()],
        Scope::Namespaces(namespaces) => vec!["--namespace".into(), namespaces.join(",")],
        Scope::Cluster => vec!["--all-namespaces".into()],
    };
    arguments.extend(["--image".into(), options.image.clone()]);
    if let Some(secret) = &options.pull_secret {
        arguments.extend(["--image-pull-secret".into(), secret.clone()]);
    }
    if !options.architectures.is_empty() {
        arguments.extend(["--architectures".into(), options.architectures.join(",")]);
    }
    if options.network_policies {
        arguments.push(NETWORK_POLICIES.into());
    }
    arguments.extend(LogFormat::arguments(options.log_format));
    // Kubernetes puts the values in.
    let rest = ["--pod-ip", "$(POD_IP)", "--pod-name", "$(POD_NAME)", "--health-port"];
    arguments.extend(rest.map(Into::into));
    arguments.push(HEALTH_PORT.to_string());
    arguments
}

fn from_field(name: &str, field_path: &str) -> EnvVar {
    let field = ObjectFieldSelector { field_path: field_path.into(), api_version: None };
    let value_from = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: name.into(), value: None, value_from: Some(value_from) }
}
