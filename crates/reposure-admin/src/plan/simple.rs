//! The plan of the built-in registry: CNCF Distribution, version 3 (version 2.8 works too), and the gate before it.

mod config;
mod gate;
mod keys;
mod options;
mod passwords;
mod pod;
mod volumes;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{
            ConfigMap, PersistentVolumeClaim, PersistentVolumeClaimSpec, Service, ServicePort, ServiceSpec,
            VolumeResourceRequirements,
        },
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};
use reposure_api::{
    labels::{Application, selector},
    names::SIMPLE_PORT,
};

use super::{Plan, Step, network_policy};

pub use keys::{KeysError, S3Keys, SimpleKeys};
pub(in crate::plan) use options::metadata;
pub use options::{S3, SimpleOptions, Storage};
pub use passwords::{PasswordError, SimplePasswords, simple_passwords};

/// Plans the key of what signs the state of uploads, in the Secret that is to hold the configuration: it is created only where it is
/// missing, since it must not change while an upload goes on.
pub fn simple_signing_key(options: &SimpleOptions) -> Plan {
    Plan { steps: vec![Step::CreateIfMissing(keys::signing_key(options).into())] }
}

/// Plans the built-in registry with what is secret in its configuration: Secret, volume claim, Service, `NetworkPolicy` where it is asked
/// for, Deployment.
///
/// The volume claim is created only where it is missing.
pub fn simple(options: &SimpleOptions, keys: &SimpleKeys) -> Plan {
    let text = config::configuration(options, keys);
    let mut steps = vec![Step::Apply(keys::secret(options, keys, &text).into())];
    if let Storage::Claim { size, class } = &options.storage {
        steps.push(Step::CreateIfMissing(claim(options, size, class.as_deref()).into()));
    }
    steps.push(Step::Apply(simple_service(options).into()));
    if options.network_policy {
        steps.push(Step::Apply(simple_network_policy(options).into()));
    }
    steps.push(Step::Apply(pod::deployment(options, &text).into()));
    Plan { steps }
}

/// Returns the `ConfigMap` that held the configuration in earlier versions, which is deleted where there is one.
pub fn simple_config_map(options: &SimpleOptions) -> ConfigMap {
    ConfigMap { metadata: options.metadata(), ..ConfigMap::default() }
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

/// Returns the `NetworkPolicy` alone, which is deleted where there is one.
pub fn simple_network_policy(options: &SimpleOptions) -> NetworkPolicy {
    network_policy::of_simple(options, options.metadata())
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
