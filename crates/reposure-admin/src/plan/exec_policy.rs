//! What keeps those who may `exec` from doing anything in a surrogate but opening a session.
//!
//! A surrogate holds credentials as files, which whoever runs a program of his own in its pod could read. The policy stands beside RBAC,
//! which knows no commands: it holds for everybody, administrators of the cluster too. It sees no labels of the pod that is entered,
//! so that it goes by the pod's name.

use k8s_openapi::{
    api::admissionregistration::v1::{
        MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
        ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
        ValidatingAdmissionPolicySpec, Validation,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta},
};
use reposure_api::names;
use reposure_parcel::session::{COMMAND, CONTAINER, PROGRAM};

use super::operator::{OperatorOptions, Scope, metadata};
use crate::object::Object;

/// The label of every namespace with its name, which the API server keeps.
pub(super) const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// What stands in both objects' names.
const NAME: &str = "reposure-exec";

/// Returns the policy and its binding.
pub(super) fn objects(options: &OperatorOptions) -> [Object; 2] {
    [policy(options).into(), binding(options).into()]
}

/// Returns the name of both objects. They belong to the cluster, where an operator for single namespaces is not alone.
fn name(options: &OperatorOptions) -> String {
    match options.scope {
        Scope::Cluster => NAME.into(),
        _ => format!("{NAME}.{}", options.namespace),
    }
}

fn clustered(options: &OperatorOptions) -> ObjectMeta {
    ObjectMeta { namespace: None, ..metadata(options, &name(options)) }
}

fn policy(options: &OperatorOptions) -> ValidatingAdmissionPolicy {
    ValidatingAdmissionPolicy {
        metadata: clustered(options),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".into()),
            match_constraints: Some(MatchResources {
                resource_rules: Some(vec![
                    rule("CONNECT", &["pods/exec", "pods/attach"]),
                    rule("UPDATE", &["pods/ephemeralcontainers"]),
                ]),
                ..MatchResources::default()
            }),
            match_conditions: Some(vec![MatchCondition {
                name: "surrogates".into(),
                expression: format!("request.name.startsWith('{}')", names::SURROGATE_PREFIX),
            }]),
            validations: Some(validations()),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        status: None,
    }
}

fn rule(operation: &str, resources: &[&str]) -> NamedRuleWithOperations {
    NamedRuleWithOperations {
        api_groups: Some(vec![String::new()]),
        api_versions: Some(vec!["v1".into()]),
        operations: Some(vec![operation.into()]),
        resources: Some(resources.iter().map(|resource| (*resource).into()).collect()),
        scope: Some("Namespaced".into()),
        resource_names: None,
    }
}

fn validations() -> Vec<Validation> {
    let session = format!(
        "has(object.command) && object.command == ['{PROGRAM}', '{COMMAND}'] && (!has(object.container) || object.container in ['', '{CONTAINER}'])"
    );
    vec![
        refused_unless(
            format!("request.subResource != 'exec' || ({session})"),
            format!(
                "a surrogate holds the credentials of its registry: nothing may be executed in it but {PROGRAM} {COMMAND}"
            ),
        ),
        refused_unless(
            "request.subResource != 'attach'".into(),
            "a surrogate holds the credentials of its registry: nobody may attach to it".into(),
        ),
        refused_unless(
            "request.subResource != 'ephemeralcontainers'".into(),
            "a surrogate holds the credentials of its registry: no container may be added to it".into(),
        ),
    ]
}

fn refused_unless(expression: String, message: String) -> Validation {
    Validation {
        expression,
        message: Some(message),
        reason: Some("Forbidden".into()),
        message_expression: None,
    }
}

fn binding(options: &OperatorOptions) -> ValidatingAdmissionPolicyBinding {
    let namespaces = match &options.scope {
        Scope::Namespace => Some(vec![options.namespace.clone()]),
        Scope::Namespaces(named) => Some(named.clone()),
        Scope::Cluster => None,
    };
    ValidatingAdmissionPolicyBinding {
        metadata: clustered(options),
        spec: Some(ValidatingAdmissionPolicyBindingSpec {
            policy_name: Some(name(options)),
            validation_actions: Some(vec!["Deny".into()]),
            match_resources: namespaces.map(|namespaces| MatchResources {
                namespace_selector: Some(named(namespaces)),
                ..MatchResources::default()
            }),
            param_ref: None,
        }),
    }
}

/// Selects namespaces by their names.
fn named(namespaces: Vec<String>) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: NAMESPACE_NAME.into(),
            operator: "In".into(),
            values: Some(namespaces),
        }]),
        match_labels: None,
    }
}
