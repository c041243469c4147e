//! The plan of what an administrator of the cluster writes once: the definition of `Registry`, and who may use it.

use k8s_openapi::{api::rbac::v1::ClusterRole, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{CustomResourceExt as _, Resource as _};
use reposure_api::{
    Registry,
    labels::{Application, labels},
};

use super::{Plan, rbac::rule};
use crate::object::{Manager, Object};

/// The built-in roles, by what they gain of each other's rights; the label of each is `aggregate-to-NAME`.
///
/// See [Kubernetes, "User-facing roles"](https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles).
const VIEW: [&str; 3] = ["view", "edit", "admin"];
const EDIT: [&str; 2] = ["edit", "admin"];
const ADMIN: [&str; 1] = ["admin"];

/// Plans the definition of `Registry`, and rights on registries for those who hold the built-in roles `view`, `edit` and
/// `admin` in a namespace. `admin` gains what an operator's own Role holds, since nobody may grant more than he has.
pub fn definition() -> Plan {
    let group = Registry::group(&()).into_owned();
    let group = group.as_str();
    let view = vec![rule(group, &["registries"], &["get", "list", "watch"])];
    let edit =
        vec![rule(group, &["registries"], &["create", "update", "patch", "delete", "deletecollection"])];
    let admin = vec![
        rule(group, &["registries/status"], &["get", "patch", "update"]),
        rule(group, &["registries/finalizers"], &["update"]),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ];
    let roles = [("view", &VIEW[..], view), ("edit", &EDIT[..], edit), ("admin", &ADMIN[..], admin)];
    let roles = roles.map(|(name, gain, rules)| {
        let mut labels = labels(Application::Operator, None, Manager::Cli.as_str());
        for role in gain {
            labels.insert(format!("rbac.authorization.k8s.io/aggregate-to-{role}"), "true".into());
        }
        let name = Some(format!("reposure-{name}"));
        let metadata = ObjectMeta { name, labels: Some(labels), ..ObjectMeta::default() };
        Object::from(ClusterRole { metadata, rules: Some(rules), aggregation_rule: None })
    });
    Plan::of(std::iter::once(Object::from(Registry::crd())).chain(roles))
}
