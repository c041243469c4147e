//! What there should be in the cluster, computed from what is asked for. Nothing here does IO.

mod access;
mod architecture;
pub mod cert_manager;
mod certificates;
mod definition;
mod exec_policy;
mod found;
mod grant;
mod hardening;
mod image_streams;
mod local_hosting;
mod log_format;
mod network_policy;
mod operator;
pub mod pod;
mod provider;
mod rbac;
mod registry;
mod simple;
mod standalone;
mod surrogate;
mod surrogate_config;
mod surrogate_pod;
mod volumes;

pub use architecture::own_architecture;
pub use cert_manager::{CERT_MANAGER, CERT_MANAGER_VERSION, IssuerChoice, IssuerRef, cert_manager};
pub(crate) use cert_manager::{OF_CERTIFICATE, superseded};
pub use certificates::{
    AUTHORITY_LIFE, CertificateError, CertificateNames, Certificates, Found, LIFE, Outlook, SPREAD,
    operators, simple_certificates, simple_certificates_role,
};
pub use definition::definition;
pub use found::{FoundRegistry, Product};
pub use grant::{grant_binding, grant_name, grant_role, group, service_account, user};
pub(crate) use grant::{with, without};
pub use image_streams::image_streams_access;
pub use local_hosting::{LOCAL_HOSTING, LOCAL_HOSTING_NAMESPACE, LocalHosting, LocalHostingError};
pub use log_format::{LOG_FORMAT, LogFormat, LogFormatError};
pub use operator::{
    DEFAULT_IMAGE_HOST, EXEC_POLICY, NETWORK_POLICIES, OperatorOptions, Scope, image, operator,
    operator_exec_policy,
};
pub use provider::{ADDON_SERVICE, MICROK8S_NAMESPACE, MINIKUBE_NAMESPACE, Provider};
pub use registry::{RegistryOptions, registry};
pub use simple::{
    KeysError, PasswordError, S3, S3Keys, SimpleKeys, SimpleOptions, SimplePasswords, Storage, simple,
    simple_config_map, simple_network_policy, simple_passwords, simple_service, simple_signing_key,
};
pub use standalone::{standalone_owner, standalone_registry, standalone_selector, standalone_settings};
pub use surrogate::{Observed, ServiceState, Settings, SurrogatePlan, surrogate};
pub use surrogate_config::upload_strategy;

use crate::object::Object;

/// What is to be done, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make the object so.
    Apply(Object),
    /// Create the object if there is none of its name: it holds data, or something random that must not change.
    CreateIfMissing(Object),
}

impl Step {
    /// Returns the object.
    pub const fn object(&self) -> &Object {
        match self {
            Self::Apply(object) | Self::CreateIfMissing(object) => object,
        }
    }
}

impl Plan {
    /// Returns the plan to make `objects` so.
    pub fn of(objects: impl IntoIterator<Item = Object>) -> Self {
        Self { steps: objects.into_iter().map(Step::Apply).collect() }
    }

    /// Returns the objects in order.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.steps.iter().map(Step::object)
    }
}
