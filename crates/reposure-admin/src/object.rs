//! The kinds of objects that are kept, behind one type.

use std::fmt;

use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        apps::v1::{Deployment, StatefulSet},
        coordination::v1::Lease,
        core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Resource,
    api::{ApiResource, DynamicObject},
    core::ObjectMeta,
};
use reposure_api::{Registry, labels};
use serde::Serialize;

use crate::plan::cert_manager::{Certificate, Issuer};

/// Who keeps an object: its field manager, and the value of its label `app.kubernetes.io/managed-by`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manager {
    /// The operator.
    #[default]
    Operator,
    /// The command line tool.
    Cli,
}

impl Manager {
    /// Returns the field manager's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => labels::OPERATOR_MANAGER,
            Self::Cli => labels::CLI_MANAGER,
        }
    }
}

/// What an object is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The kind, `StatefulSet`.
    pub kind: String,
    /// The resource as roles name it: `statefulsets.apps`, or `services` in the core group.
    pub resource: String,
    /// The namespace; none for an object of the cluster.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl ObjectName {
    /// Returns the name of the object `name` of the kind that `resource` describes.
    pub fn new(resource: &ApiResource, namespace: Option<&str>, name: &str) -> Self {
        let plural = &resource.plural;
        let full =
            if resource.group.is_empty() { plural.clone() } else { format!("{plural}.{}", resource.group) };
        Self {
            kind: resource.kind.clone(),
            resource: full,
            namespace: namespace.map(Into::into),
            name: name.into(),
        }
    }

    /// Returns the name of the object `name` of a kind that is known here.
    pub fn of<K>(namespace: Option<&str>, name: &str) -> Self
    where
        K: Resource<DynamicType = ()>,
    {
        Self::new(&ApiResource::erase::<K>(&()), namespace, name)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name, .. } = self;
        match namespace {
            Some(namespace) => write!(formatter, "{kind} {namespace}/{name}"),
            None => write!(formatter, "{kind} {name}"),
        }
    }
}

/// Makes the enumeration of kinds and what is the same for each.
macro_rules! objects {
    ($($(#[$doc:meta])+ $kind:ident,)+) => {
        /// An object to be kept.
        #[derive(Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Object {
            $($(#[$doc])+ $kind(Box<$kind>),)+
        }

        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Self {
                Self::$kind(Box::new(object))
            }
        })+

        impl Object {
            /// Returns the metadata.
            pub fn metadata(&self) -> &ObjectMeta {
                match self {
                    $(Self::$kind(object) => &object.metadata,)+
                }
            }

            /// Returns the metadata, to be changed.
            pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
                match self {
                    $(Self::$kind(object) => &mut object.metadata,)+
                }
            }

            /// Describes the kind.
            pub fn resource(&self) -> ApiResource {
                match self {
                    $(Self::$kind(_) => ApiResource::erase::<$kind>(&()),)+
                }
            }
        }
    };
}

objects! {
    /// Configuration.
    ConfigMap,
    /// An identity.
    ServiceAccount,
    /// Something secret.
    Secret,
    /// An address.
    Service,
    /// Storage.
    PersistentVolumeClaim,
    /// The pod of a surrogate.
    StatefulSet,
    /// The pod of the operator or of the built-in registry.
    Deployment,
    /// Who of several operators sees to registries.
    Lease,
    /// Rights in a namespace.
    Role,
    /// Who has them.
    RoleBinding,
    /// Rights in the cluster.
    ClusterRole,
    /// Who has them.
    ClusterRoleBinding,
    /// Whom pods may reach, and who may reach them.
    NetworkPolicy,
    /// What no right allows.
    ValidatingAdmissionPolicy,
    /// Where that holds.
    ValidatingAdmissionPolicyBinding,
    /// The definition of `Registry`.
    CustomResourceDefinition,
    /// A registry.
    Registry,
    /// A certificate that cert-manager is to make.
    Certificate,
    /// What it makes certificates by.
    Issuer,
}

/// Only the name: the object may be a Secret.
impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.name(), formatter)
    }
}

impl Object {
    /// Returns what the object is called.
    pub fn name(&self) -> ObjectName {
        let metadata = self.metadata();
        ObjectName::new(
            &self.resource(),
            metadata.namespace.as_deref(),
            metadata.name.as_deref().unwrap_or_default(),
        )
    }

    /// Returns the object without its type.
    ///
    /// # Errors
    /// Never for the plans made here; the types can all be written as JSON.
    pub fn to_dynamic(&self) -> Result<DynamicObject, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_kind_resource_and_place() {
        let mut set = StatefulSet::default();
        set.metadata.name = Some("a".into());
        set.metadata.namespace = Some("team".into());
        let name = Object::from(set).name();
        assert_eq!(name.to_string(), "StatefulSet team/a");
        assert_eq!(name.resource, "statefulsets.apps");
        let account = Object::from(ServiceAccount::default());
        assert_eq!(account.name().resource, "serviceaccounts");
    }

    #[test]
    fn an_object_keeps_its_kind_without_its_type() {
        let object = Object::from(ConfigMap::default()).to_dynamic().unwrap();
        assert_eq!(object.types.unwrap().kind, "ConfigMap");
    }
}
