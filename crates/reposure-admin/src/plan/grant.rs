//! The plan of who may pull from a registry, push to it and delete in it: a Role for each level, and who is bound to it.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::Resource as _;
use reposure_api::{
    Registry, SurrogateNames,
    labels::{CLI_MANAGER, MANAGED_BY},
};
use reposure_parcel::wire::{self, Right};

use super::{
    rbac::rule,
    surrogate::{Settings, metadata},
};
use crate::{apply::owner, object::Manager};

/// The API group of roles.
pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

/// Returns what the Role of a level of a registry and its binding are called.
pub fn grant_name(registry: &str, level: Right) -> String {
    format!("reposure:{registry}:{level}")
}

/// Returns the Role with all that it takes to work with `registry` at `level` over the channels `proxy` and `port-forward`. Each
/// rule names the one object that it is for.
///
/// A level holds the tokens of those below it, since a client asks for the least that a command takes.
pub fn grant_role(registry: &Registry, level: Right) -> Role {
    let name = registry.metadata.name.clone().unwrap_or_default();
    let surrogate = SurrogateNames::new(&name);
    // By its name, and not by what the status says, which others than the one who grants may write.
    let pod = surrogate.pod();
    let port = registry.spec.surrogate_port.unwrap_or(wire::PORT);
    let proxied = |scheme: &str| vec![format!("{scheme}:{pod}:{port}")];
    let group = Registry::group(&()).into_owned();
    let mut rules = vec![
        named(rule("", &["pods/proxy"], proxy_verbs(level)), proxied("https")),
        // Blobs of a registry that is reached by plain HTTP are read and sent without TLS, by tickets: who may not ask for one, as it takes
        // POST, reads them over TLS.
        named(rule("", &["pods/proxy"], clear_verbs(level)), proxied("http")),
        // A WebSocket is asked for by GET, which newer API servers take for a creation.
        named(rule("", &["pods/portforward"], &["get", "create"]), vec![pod.clone()]),
        named(rule("", &["pods"], &["get"]), vec![pod.clone()]),
        named(rule("", &["serviceaccounts/token"], &["create"]), accounts(&surrogate, level)),
        named(rule(&group, &["registries"], &["get"]), vec![name]),
    ];
    if is_standalone(registry) {
        // What keeps it holds no secret; whoever may not read it is told that there is no such registry.
        rules.push(named(rule("", &["configmaps"], &["get"]), vec![surrogate.config_map().into()]));
    }
    Role { metadata: grant_metadata(registry, level), rules: Some(rules) }
}

fn is_standalone(registry: &Registry) -> bool {
    let labels = registry.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|manager| manager == CLI_MANAGER)
}

/// Returns the binding of `subjects` to the Role of [`grant_role`].
pub fn grant_binding(registry: &Registry, level: Right, subjects: Vec<Subject>) -> RoleBinding {
    let name = grant_name(registry.metadata.name.as_deref().unwrap_or_default(), level);
    RoleBinding {
        metadata: grant_metadata(registry, level),
        role_ref: role_ref(name),
        subjects: Some(subjects),
    }
}

/// Returns the reference to the Role of this name in the namespace of its binding.
pub(crate) fn role_ref(name: impl Into<String>) -> RoleRef {
    RoleRef { api_group: GROUP.into(), kind: "Role".into(), name: name.into() }
}

/// Returns the subject that is the user of this name.
pub fn user(name: impl Into<String>) -> Subject {
    Subject { api_group: Some(GROUP.into()), kind: "User".into(), name: name.into(), namespace: None }
}

/// Returns the subject that is the group of this name.
pub fn group(name: impl Into<String>) -> Subject {
    Subject { kind: "Group".into(), ..user(name) }
}

/// Returns the subject that is a ServiceAccount.
pub fn service_account(namespace: impl Into<String>, name: impl Into<String>) -> Subject {
    let namespace = Some(namespace.into());
    Subject { api_group: None, kind: "ServiceAccount".into(), name: name.into(), namespace }
}

/// Returns `subjects` with those of `more` that are not among them, in this order; none if all are.
pub(crate) fn with(subjects: &[Subject], more: &[Subject]) -> Option<Vec<Subject>> {
    let mut all = subjects.to_vec();
    for subject in more {
        if !all.iter().any(|other| same(other, subject)) {
            all.push(subject.clone());
        }
    }
    (all.len() > subjects.len()).then_some(all)
}

/// Returns `subjects` but for those of `less`; none if none of them is among these.
pub(crate) fn without(subjects: &[Subject], less: &[Subject]) -> Option<Vec<Subject>> {
    let stays = |subject: &&Subject| !less.iter().any(|other| same(subject, other));
    let rest: Vec<Subject> = subjects.iter().filter(stays).cloned().collect();
    (rest.len() < subjects.len()).then_some(rest)
}

/// Compares what names a subject: its API group follows from its kind, and may be left out.
fn same(one: &Subject, other: &Subject) -> bool {
    (&one.kind, &one.namespace, &one.name) == (&other.kind, &other.namespace, &other.name)
}

/// Returns the verbs of the methods of HTTP that a level takes.
const fn proxy_verbs(level: Right) -> &'static [&'static str] {
    match level {
        Right::Pull => &["get"],
        Right::Push => &["get", "create", "update"],
        Right::Admin => &["get", "create", "update", "delete"],
    }
}

/// Returns the verbs of what goes without TLS: blobs come by `GET`, and chunks go by `PUT`.
const fn clear_verbs(level: Right) -> &'static [&'static str] {
    match level {
        Right::Pull => &["get"],
        Right::Push | Right::Admin => &["get", "update"],
    }
}

fn accounts(names: &SurrogateNames, level: Right) -> Vec<String> {
    let account = |right| match right {
        Right::Pull => names.pull_account(),
        Right::Push => names.push_account(),
        Right::Admin => names.admin_account(),
    };
    Right::ALL.into_iter().filter(|right| *right <= level).map(account).collect()
}

fn named(rule: PolicyRule, names: Vec<String>) -> PolicyRule {
    PolicyRule { resource_names: Some(names), ..rule }
}

/// Returns the metadata of a surrogate's objects, owned by the registry, so that the rights go with it.
fn grant_metadata(registry: &Registry, level: Right) -> kube::core::ObjectMeta {
    let name = grant_name(registry.metadata.name.as_deref().unwrap_or_default(), level);
    let mut metadata = metadata(registry, &name, &Settings::new("", Manager::Cli));
    metadata.owner_references = owner(registry).map(|owner| vec![owner]);
    metadata
}

#[cfg(test)]
mod tests {
    use reposure_api::registry::RegistrySpec;

    use super::*;

    fn registry() -> Registry {
        let mut registry = Registry::new("default", RegistrySpec::default());
        registry.metadata.namespace = Some("team".into());
        registry.metadata.uid = Some("1".into());
        registry
    }

    fn lines(role: &Role) -> String {
        let join = |list: &Option<Vec<String>>| list.clone().unwrap_or_default().join(",");
        let rules = role.rules.iter().flatten();
        let line = |rule: &PolicyRule| {
            format!("{} {} {}\n", join(&rule.resources), rule.verbs.join(","), join(&rule.resource_names))
        };
        rules.map(line).collect()
    }

    #[test]
    fn a_reader_gets_and_has_one_token() {
        insta::assert_snapshot!(lines(&grant_role(&registry(), Right::Pull)), @r"
        pods/proxy get https:reposure-surrogate-default-0:10250
        pods/proxy get http:reposure-surrogate-default-0:10250
        pods/portforward get,create reposure-surrogate-default-0
        pods get reposure-surrogate-default-0
        serviceaccounts/token create reposure-surrogate-default-pull
        registries get default
        ");
    }

    #[test]
    fn a_reader_of_a_standalone_registry_reads_what_keeps_it() {
        let mut registry = registry();
        let managed = |by: &str| Some([(MANAGED_BY.to_owned(), by.to_owned())].into());
        registry.metadata.labels = managed(CLI_MANAGER);
        let rules = lines(&grant_role(&registry, Right::Pull));
        assert!(
            rules.ends_with("registries get default\nconfigmaps get reposure-surrogate-default\n"),
            "{rules}"
        );
        registry.metadata.labels = managed("reposure-operator");
        assert!(!lines(&grant_role(&registry, Right::Pull)).contains("configmaps"));
    }

    #[test]
    fn the_verbs_and_the_tokens_grow_with_the_level() {
        let mut registry = registry();
        registry.spec.surrogate_port = Some(8443);
        let push = lines(&grant_role(&registry, Right::Push));
        assert!(
            push.starts_with(
                "pods/proxy get,create,update https:reposure-surrogate-default-0:8443\npods/proxy get,update http:"
            ),
            "{push}"
        );
        assert!(push.contains("default-pull,reposure-surrogate-default-push\n"), "{push}");
        let admin = lines(&grant_role(&registry, Right::Admin));
        assert!(admin.starts_with("pods/proxy get,create,update,delete "), "{admin}");
        assert!(admin.contains("default-push,reposure-surrogate-default-admin\n"), "{admin}");
    }

    #[test]
    fn every_rule_names_what_it_is_for_and_none_opens_exec_or_secrets() {
        for level in Right::ALL {
            let role = grant_role(&registry(), level);
            for rule in role.rules.iter().flatten() {
                assert!(rule.resource_names.as_ref().is_some_and(|names| !names.is_empty()), "{rule:?}");
                let resources = rule.resources.clone().unwrap_or_default();
                assert!(!resources.iter().any(|resource| resource == "pods/exec" || resource == "secrets"));
            }
        }
    }

    #[test]
    fn role_and_binding_go_with_the_registry() {
        let binding = grant_binding(&registry(), Right::Push, vec![user("ann")]);
        let role = grant_role(&registry(), Right::Push);
        assert_eq!(binding.role_ref.name, "reposure:default:push");
        for metadata in [&binding.metadata, &role.metadata] {
            assert_eq!(metadata.name.as_deref(), Some("reposure:default:push"));
            let owners = metadata.owner_references.clone().unwrap_or_default();
            assert_eq!(owners.first().map(|owner| owner.uid.as_str()), Some("1"));
            assert!(metadata.labels.is_some());
        }
    }

    #[test]
    fn subjects_are_added_once_and_taken_away_alone() {
        let (ann, all, builder) = (user("ann"), group("ann"), service_account("ci", "ann"));
        let two = with(std::slice::from_ref(&ann), &[ann.clone(), all.clone(), all.clone()]).unwrap();
        assert_eq!(two, [ann.clone(), all.clone()]);
        assert_eq!(with(&two, std::slice::from_ref(&ann)), None);
        assert_eq!(without(&two, &[builder]), None);
        assert_eq!(without(&two, std::slice::from_ref(&ann)), Some(vec![all]));
        assert_eq!(without(std::slice::from_ref(&ann), std::slice::from_ref(&ann)), Some(Vec::new()));
    }
}
