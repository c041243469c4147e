//! What lets the operator renew certificates: nothing but these Secrets, by their names.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, Subject};
use reposure_api::names::{OPERATOR, SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY, SIMPLE_CERTIFICATES};

use crate::{
    object::Object,
    plan::{grant::role_ref, rbac::rule, simple::metadata},
};

/// Returns the Role to read and change the Secrets of the certificate and of its authority in `namespace`, and its binding to `operators`.
///
/// Whoever writes them needs these rights himself, and those to make Roles.
pub fn simple_certificates_role(namespace: &str, operators: &[Subject]) -> [Object; 2] {
    let names = [SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY].map(Into::into).to_vec();
    let rule = PolicyRule { resource_names: Some(names), ..rule("", &["secrets"], &["get", "patch"]) };
    let metadata = metadata(namespace, SIMPLE_CERTIFICATES);
    let role_ref = role_ref(SIMPLE_CERTIFICATES);
    let binding = RoleBinding { metadata: metadata.clone(), role_ref, subjects: Some(operators.to_vec()) };
    [Role { metadata, rules: Some(vec![rule]) }.into(), binding.into()]
}

/// Returns the ServiceAccounts of operators among `subjects`: those that a binding of an operator's own Role names.
pub fn operators(subjects: &[Subject]) -> Vec<Subject> {
    let is_operator = |subject: &&Subject| subject.kind == "ServiceAccount" && subject.name == OPERATOR;
    subjects.iter().filter(is_operator).cloned().collect()
}
