//! A `Registry` made from options.

use kube::core::ObjectMeta;
use reposure_api::{DirectHost, Registry, RegistrySpec, Target};

use super::provider::at_service;

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
