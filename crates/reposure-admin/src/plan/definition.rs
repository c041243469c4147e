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

#[cfg(test)]
mod tests {
    use super::*;

    /// A right to `pods/proxy` or `pods/exec` that names no pod would open every pod, and one to tokens every ServiceAccount.
    #[test]
    fn the_built_in_roles_gain_the_resource_and_events_alone() {
        let plan = definition();
        let roles: Vec<_> = plan
            .objects()
            .filter_map(|object| match object {
                Object::ClusterRole(role) => Some(role),
                _ => None,
            })
            .collect();
        assert_eq!(roles.len(), 3);
        let group = Registry::group(&()).into_owned();
        for role in roles {
            let name = role.metadata.name.as_deref().unwrap_or_default();
            for rule in role.rules.iter().flatten() {
                let groups = rule.api_groups.clone().unwrap_or_default();
                let resources = rule.resources.clone().unwrap_or_default();
                let own = groups == [group.clone()]
                    && resources.iter().all(|resource| resource.split('/').next() == Some("registries"));
                // What an operator reports by; `admin` hands it on.
                let events =
                    name == "reposure-admin" && groups == ["events.k8s.io"] && resources == ["events"];
                assert!(own || events, "{name} gains {rule:?}");
                assert!(!rule.verbs.iter().any(|verb| verb == "*"), "{name} gains {rule:?}");
                let reads = |verb: &String| ["get", "list", "watch"].contains(&verb.as_str());
                assert!(name != "reposure-view" || rule.verbs.iter().all(reads), "{name} gains {rule:?}");
            }
        }
    }
}
