//! A `Registry` made from options.

use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::core::ObjectMeta;
use reposure_api::{DirectHost, Registry, RegistrySpec, SurrogateNames, Target, labels};

use super::provider::at_service;
use crate::object::{Manager, Object};

/// What `Registry` is to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryOptions {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The specification.
    pub spec: RegistrySpec,
}

impl RegistryOptions {
    /// Returns the registry at `target`.
    pub fn at(namespace: impl Into<String>, name: impl Into<String>, target: Target) -> Self {
        let namespace = namespace.into();
        let spec = match target {
            Target::Direct { host } => {
                RegistrySpec { direct: Some(DirectHost { host }), ..RegistrySpec::default() }
            }
            Target::Service { namespace: of, name, port } => {
                let of = (of != namespace).then_some(of);
                at_service(of.as_deref(), &name, port)
            }
        };
        Self { namespace, name: name.into(), spec }
    }
}

/// Returns the `Registry` of `options`.
pub fn registry(options: &RegistryOptions) -> Registry {
    Registry {
        metadata: ObjectMeta {
            name: Some(options.name.clone()),
            namespace: Some(options.namespace.clone()),
            ..ObjectMeta::default()
        },
        spec: options.spec.clone(),
        status: None,
    }
}

/// Returns the binding that lets the surrogate of `registry` push and pull in OpenShift's internal registry: its own
/// ServiceAccount gets the ClusterRole `registry-editor` in the namespace.
pub fn openshift_access(registry: &Registry) -> Object {
    let names = SurrogateNames::new(registry.metadata.name.as_deref().unwrap_or_default());
    let application = labels::Application::Surrogate;
    RoleBinding {
        metadata: ObjectMeta {
            name: Some(names.service_account().into()),
            namespace: registry.metadata.namespace.clone(),
            labels: Some(labels::labels(
                application,
                registry.metadata.name.as_deref(),
                Manager::Cli.as_str(),
            )),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name: "registry-editor".into(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: names.service_account().into(),
            namespace: registry.metadata.namespace.clone(),
            api_group: None,
        }]),
    }
    .into()
}
