//! A `Registry` made from options, and the providers that are known.

use k8s_openapi::api::{
    core::v1::ConfigMap,
    rbac::v1::{RoleBinding, RoleRef, Subject},
};
use kube::core::ObjectMeta;
use reposure_api::{
    DirectHost, IndirectService, Registry, RegistrySpec, SurrogateNames, Target, labels, names,
};
use serde::Deserialize;

use super::surrogate_config::REGISTRY_KEY;
use crate::object::{Manager, Object};

/// A registry that is known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The built-in one, in the namespace of the `Registry`.
    Simple {
        /// Whether it speaks TLS.
        tls: bool,
    },
    /// Minikube's add-on.
    Minikube,
    /// OpenShift's internal registry.
    OpenShift,
}

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
    /// Returns the registry that `provider` provides.
    pub fn of_provider(namespace: impl Into<String>, name: impl Into<String>, provider: Provider) -> Self {
        let namespace = namespace.into();
        let spec = match provider {
            Provider::Simple { tls } => RegistrySpec {
                indirect: Some(service(None, names::SIMPLE, names::SIMPLE_PORT)),
                authentication_secret: tls.then(|| names::SIMPLE_AUTHENTICATION.into()),
                ..RegistrySpec::default()
            },
            Provider::Minikube => RegistrySpec {
                indirect: Some(service(Some("kube-system"), "registry", 80)),
                ..RegistrySpec::default()
            },
            Provider::OpenShift => RegistrySpec {
                // By host: nodes know this name and no address of it, and the certificate is for this name.
                direct: Some(DirectHost { host: "image-registry.openshift-image-registry.svc:5000".into() }),
                authentication_config_map: Some("openshift-service-ca.crt".into()),
                authorization_service_account: Some(true),
                ..RegistrySpec::default()
            },
        };
        Self { namespace, name: name.into(), spec }
    }

    /// Returns the registry at `target`.
    pub fn at(namespace: impl Into<String>, name: impl Into<String>, target: Target) -> Self {
        let namespace = namespace.into();
        let spec = match target {
            Target::Direct { host } => {
                RegistrySpec { direct: Some(DirectHost { host }), ..RegistrySpec::default() }
            }
            Target::Service { namespace: of, name, port } => {
                let of = (of != namespace).then_some(of);
                RegistrySpec {
                    indirect: Some(service(of.as_deref(), &name, port)),
                    ..RegistrySpec::default()
                }
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

/// Reads the registry that the command line tool keeps in a surrogate's ConfigMap; none if an operator keeps it.
pub fn standalone_registry(config_map: &ConfigMap) -> Option<Registry> {
    #[derive(Deserialize)]
    struct Kept {
        name: String,
        spec: RegistrySpec,
    }
    let text = config_map.data.as_ref()?.get(REGISTRY_KEY)?;
    let Kept { name, spec } = serde_json::from_str(text).ok()?;
    let namespace = config_map.metadata.namespace.clone()?;
    Some(registry(&RegistryOptions { namespace, name, spec }))
}

fn service(namespace: Option<&str>, name: &str, port: u16) -> IndirectService {
    IndirectService { namespace: namespace.map(Into::into), service: name.into(), port }
}
