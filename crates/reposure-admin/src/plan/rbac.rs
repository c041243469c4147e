//! The operator's rights: named verbs on named resources. It reads no Secret, asks for no token and enters no pod.

use k8s_openapi::{
    api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource as _;
use reposure_api::{Registry, names};

use super::operator::{OperatorOptions, Scope, metadata};
use crate::object::Object;

const READ: [&str; 3] = ["get", "list", "watch"];
const KEEP: [&str; 5] = ["get", "list", "watch", "create", "patch"];

/// Returns the operator's roles and bindings.
pub(crate) fn objects(options: &OperatorOptions) -> Vec<Object> {
    let own = RoleKind::of(options.scope).reference(names::OPERATOR);
    let mut objects = match options.scope {
        Scope::Namespace => vec![
            Object::from(Role { metadata: namespaced(options, names::OPERATOR), rules: Some(rules()) }),
            binding(options, names::OPERATOR, own),
        ],
        Scope::Cluster => {
            let metadata = clustered(options, names::OPERATOR);
            vec![
                Object::from(ClusterRole { metadata, rules: Some(rules()), aggregation_rule: None }),
                binding(options, names::OPERATOR, own),
            ]
        }
    };
    if let Some(role) = &options.role {
        let name = format!("{}-{role}", names::OPERATOR);
        objects.push(binding(options, &name, RoleKind::Cluster.reference(role)));
    }
    objects
}

fn rules() -> Vec<PolicyRule> {
    let group = Registry::group(&()).into_owned();
    let group = group.as_str();
    vec![
        rule(group, &["registries"], &READ),
        rule(group, &["registries/status"], &["get", "patch", "update"]),
        // Owner references that block the owner's deletion need it where OwnerReferencesPermissionEnforcement is on.
        rule(group, &["registries/finalizers"], &["update"]),
        rule("apps", &["statefulsets"], &KEEP),
        rule("", &["configmaps", "serviceaccounts"], &KEEP),
        rule("", &["services", "pods"], &READ),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]
}

pub(super) fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![group.into()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

#[derive(Clone, Copy)]
enum RoleKind {
    Namespace,
    Cluster,
}

impl RoleKind {
    const fn of(scope: Scope) -> Self {
        match scope {
            Scope::Namespace => Self::Namespace,
            Scope::Cluster => Self::Cluster,
        }
    }

    fn reference(self, name: &str) -> RoleRef {
        let kind = match self {
            Self::Namespace => "Role",
            Self::Cluster => "ClusterRole",
        };
        RoleRef { api_group: "rbac.authorization.k8s.io".into(), kind: kind.into(), name: name.into() }
    }
}

fn binding(options: &OperatorOptions, name: &str, role_ref: RoleRef) -> Object {
    let subjects = Some(vec![Subject {
        kind: "ServiceAccount".into(),
        name: names::OPERATOR.into(),
        namespace: Some(options.namespace.clone()),
        api_group: None,
    }]);
    match options.scope {
        Scope::Namespace => RoleBinding { metadata: namespaced(options, name), role_ref, subjects }.into(),
        Scope::Cluster => {
            ClusterRoleBinding { metadata: clustered(options, name), role_ref, subjects }.into()
        }
    }
}

fn namespaced(options: &OperatorOptions, name: &str) -> ObjectMeta {
    metadata(options, name)
}

/// Returns the metadata of an object of the cluster.
fn clustered(options: &OperatorOptions, name: &str) -> ObjectMeta {
    ObjectMeta { namespace: None, ..metadata(options, name) }
}
