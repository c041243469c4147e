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
/// What it keeps is deleted by the garbage collector, by owner references. Where `OwnerReferencesPermissionEnforcement` is on, only
/// whoever may delete an object may change those: of one that somebody else has made, when the operator takes it over.
const KEEP: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];
/// The role for the Lease, which is in the operator's own namespace whatever it sees to.
const ELECTION: &str = "reposure-operator-election";

/// Returns the operator's roles and bindings.
pub(crate) fn objects(options: &OperatorOptions) -> Vec<Object> {
    let mut objects = vec![
        Role { metadata: metadata(options, ELECTION), rules: Some(election_rules()) }.into(),
        bind_in(options, &options.namespace, ELECTION, RoleKind::Namespace.reference(ELECTION)),
    ];
    match &options.scope {
        Scope::Namespace => objects.extend(in_namespace(options, &options.namespace)),
        Scope::Namespaces(namespaces) => {
            objects.extend(namespaces.iter().flat_map(|namespace| in_namespace(options, namespace)));
        }
        Scope::Cluster => objects.extend(in_cluster(options)),
    }
    objects
}

fn in_namespace(options: &OperatorOptions, namespace: &str) -> Vec<Object> {
    let metadata = ObjectMeta { namespace: Some(namespace.into()), ..metadata(options, names::OPERATOR) };
    let mut objects = vec![
        Role { metadata, rules: Some(rules(options)) }.into(),
        bind_in(options, namespace, names::OPERATOR, RoleKind::Namespace.reference(names::OPERATOR)),
    ];
    objects.extend(options.role.as_ref().map(|role| {
        let reference = RoleKind::Cluster.reference(role);
        bind_in(options, namespace, &format!("{}-{role}", names::OPERATOR), reference)
    }));
    objects
}

fn in_cluster(options: &OperatorOptions) -> Vec<Object> {
    let mut rules = rules(options);
    // To see that a node is lost. Nodes belong to the cluster, and so does this right.
    rules.push(rule("", &["nodes"], &["get"]));
    let metadata = clustered(options, names::OPERATOR);
    let mut objects = vec![
        ClusterRole { metadata, rules: Some(rules), aggregation_rule: None }.into(),
        bind(options, names::OPERATOR, RoleKind::Cluster.reference(names::OPERATOR)),
    ];
    objects.extend(options.role.as_ref().map(|role| {
        let name = format!("{}-{role}", names::OPERATOR);
        bind(options, &name, RoleKind::Cluster.reference(role))
    }));
    objects
}

fn rules(options: &OperatorOptions) -> Vec<PolicyRule> {
    let group = Registry::group(&()).into_owned();
    let group = group.as_str();
    let mut rules = vec![
        rule(group, &["registries"], &READ),
        rule(group, &["registries/status"], &["get", "patch", "update"]),
        // Owner references that block the owner's deletion need it where OwnerReferencesPermissionEnforcement is on.
        rule(group, &["registries/finalizers"], &["update"]),
        rule("apps", &["statefulsets"], &KEEP),
        rule("", &["configmaps", "serviceaccounts"], &KEEP),
        rule("", &["services", "pods"], &READ),
        // To take a surrogate off a node that is lost.
        rule("", &["pods"], &["delete"]),
        // Why a pod was refused stands nowhere else.
        rule("", &["events"], &["list"]),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ];
    if options.network_policies {
        rules.push(rule("networking.k8s.io", &["networkpolicies"], &KEEP));
    }
    rules
}

fn election_rules() -> Vec<PolicyRule> {
    let group = "coordination.k8s.io";
    let own = PolicyRule {
        resource_names: Some(vec![names::OPERATOR.into()]),
        ..rule(group, &["leases"], &["get", "update"])
    };
    // What is to be created has no name yet that could be asked for.
    vec![own, rule(group, &["leases"], &["create"])]
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
    fn reference(self, name: &str) -> RoleRef {
        let kind = match self {
            Self::Namespace => "Role",
            Self::Cluster => "ClusterRole",
        };
        RoleRef { api_group: super::grant::GROUP.into(), kind: kind.into(), name: name.into() }
    }
}

fn subjects(options: &OperatorOptions) -> Vec<Subject> {
    vec![Subject {
        kind: "ServiceAccount".into(),
        name: names::OPERATOR.into(),
        namespace: Some(options.namespace.clone()),
        api_group: None,
    }]
}

fn bind_in(options: &OperatorOptions, namespace: &str, name: &str, role_ref: RoleRef) -> Object {
    let metadata = ObjectMeta { namespace: Some(namespace.into()), ..metadata(options, name) };
    RoleBinding { metadata, role_ref, subjects: Some(subjects(options)) }.into()
}

fn bind(options: &OperatorOptions, name: &str, role_ref: RoleRef) -> Object {
    ClusterRoleBinding { metadata: clustered(options, name), role_ref, subjects: Some(subjects(options)) }
        .into()
}

/// Returns the metadata of an object of the cluster.
fn clustered(options: &OperatorOptions, name: &str) -> ObjectMeta {
    ObjectMeta { namespace: None, ..metadata(options, name) }
}
