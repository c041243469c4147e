//! What the surrogate of OpenShift's registry may do: no more than to push, pull, list and delete in its project.
//!
//! OpenShift's own role for it, `registry-editor`, opens every Secret of the project beside.

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use reposure_api::{Registry, SurrogateNames};

use super::{
    Plan, grant,
    rbac::rule,
    surrogate::{Settings, metadata},
};
use crate::object::Manager;

/// The API group of ImageStreams.
const GROUP: &str = "image.openshift.io";

/// Plans the Role and the binding that let the surrogate of `registry` work with the ImageStreams of its namespace. Who applies it needs
/// the same rights, which `admin` has in a project.
pub fn image_streams_access(registry: &Registry) -> Plan {
    let names = SurrogateNames::new(registry.metadata.name.as_deref().unwrap_or_default());
    let name = format!("{}:imagestreams", names.service_account());
    let metadata = metadata(registry, &name, &Settings::new("", Manager::Cli));
    let role = Role {
        metadata: metadata.clone(),
        rules: Some(vec![
            // One is made by the first push.
            rule(GROUP, &["imagestreams"], &["get", "list", "create"]),
            // To pull is to get, and to push is to update.
            rule(GROUP, &["imagestreams/layers"], &["get", "update"]),
            rule(GROUP, &["imagestreamtags"], &["delete"]),
        ]),
    };
    let namespace = registry.metadata.namespace.clone().unwrap_or_default();
    let binding = RoleBinding {
        metadata,
        role_ref: grant::role_ref(name),
        subjects: Some(vec![grant::service_account(namespace, names.service_account())]),
    };
    Plan::of([role.into(), binding.into()])
}
