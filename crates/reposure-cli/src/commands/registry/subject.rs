//! Levels and subjects of `reposure registry grant` and `revoke`.

use std::fmt;

use anyhow::Result;
use clap::Args;
use k8s_openapi::api::rbac::v1::Subject;
use reposure_admin::{AdminError, plan};
use reposure_parcel::wire::Right;

use super::access::AccessError;
use crate::{connect::review::Identity, exit::Failure};

#[derive(Debug, Args)]
#[group(id = "level", multiple = false)]
pub(super) struct LevelArgs {
    /// To pull, and to list
    #[arg(long)]
    pull: bool,
    /// To push, and to pull
    #[arg(long)]
    push: bool,
    /// To delete, to push and to pull
    #[arg(long)]
    admin: bool,
}

impl LevelArgs {
    /// Returns the level; none if none is named.
    pub(super) const fn level(&self) -> Option<Right> {
        match self {
            Self { admin: true, .. } => Some(Right::Admin),
            Self { push: true, .. } => Some(Right::Push),
            Self { pull: true, .. } => Some(Right::Pull),
            _ => None,
        }
    }
}

/// The names of the arguments of [`SubjectArgs`], for commands that need one of them.
pub(super) const SUBJECTS: [&str; 3] = ["user", "group", "serviceaccount"];

#[derive(Debug, Args)]
#[group(id = "subject", multiple = true)]
pub(super) struct SubjectArgs {
    /// A user, as the API server knows him: kubectl auth whoami
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    user: Vec<String>,
    /// A group
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    group: Vec<String>,
    /// A ServiceAccount, of the registry's namespace unless another is named
    #[arg(long, value_name = "[NAMESPACE:]NAME", value_parser = parse_account)]
    serviceaccount: Vec<Account>,
}

/// A ServiceAccount, in a namespace of its own or that of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    namespace: Option<String>,
    name: String,
}

fn parse_account(text: &str) -> Result<Account, String> {
    let (namespace, name) = match text.split_once(':') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, text),
    };
    // A longer name, system:serviceaccount:NAMESPACE:NAME, is that of a user.
    if name.is_empty() || name.contains(':') || namespace.as_deref() == Some("") {
        return Err("a ServiceAccount is named NAME or NAMESPACE:NAME".into());
    }
    Ok(Account { namespace, name: name.into() })
}

impl SubjectArgs {
    /// Returns the subjects for a registry in `namespace`.
    pub(super) fn subjects(&self, namespace: &str) -> Vec<Subject> {
        let accounts = self.serviceaccount.iter().map(|account| {
            plan::service_account(account.namespace.as_deref().unwrap_or(namespace), &account.name)
        });
        let users = self.user.iter().map(plan::user);
        users.chain(self.group.iter().map(plan::group)).chain(accounts).collect()
    }
}

/// A subject, as it is shown: `User ann`, `ServiceAccount ci:builder`.
pub(super) struct Shown<'a>(pub(super) &'a Subject);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject { kind, name, namespace, .. } = self.0;
        match namespace {
            Some(namespace) => write!(formatter, "{kind} {namespace}:{name}"),
            None => write!(formatter, "{kind} {name}"),
        }
    }
}

/// Returns whom the API server takes for a subject.
///
/// See [Kubernetes, "Referring to subjects"](https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects).
pub(super) fn identity(subject: &Subject) -> Identity {
    let authenticated = "system:authenticated".to_owned();
    let name = &subject.name;
    match (subject.kind.as_str(), &subject.namespace) {
        ("Group", _) => Identity { user: None, groups: vec![name.clone()] },
        ("ServiceAccount", Some(namespace)) => {
            let all = "system:serviceaccounts";
            let groups = vec![all.into(), format!("{all}:{namespace}"), authenticated];
            Identity { user: Some(format!("system:serviceaccount:{namespace}:{name}")), groups }
        }
        _ => Identity { user: Some(name.clone()), groups: vec![authenticated] },
    }
}

/// Says what could not be done with rights, and who could.
pub(super) fn failed(what: &str, registry: &str, namespace: &str, error: impl Into<AccessError>) -> Failure {
    let message = format!("cannot {what} registry {registry} in namespace {namespace}");
    match error.into() {
        AccessError::Admin(error @ AdminError::Denied { .. }) => Failure::because(message, error).hint(format!(
            "it takes the role admin in namespace {namespace}, since edit cannot make Roles and nobody can give what he does not have"
        )),
        AccessError::Admin(error) => Failure::because(message, error),
        AccessError::Review(error) => Failure::because(message, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_of_the_registrys_namespace_or_its_own() {
        let account = |namespace: Option<&str>, name: &str| {
            Ok(Account { namespace: namespace.map(Into::into), name: name.into() })
        };
        assert_eq!(parse_account("builder"), account(None, "builder"));
        assert_eq!(parse_account("ci:builder"), account(Some("ci"), "builder"));
        for text in ["", ":", "ci:", ":builder", "system:serviceaccount:ci:builder"] {
            assert!(parse_account(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn subjects_are_whom_the_api_server_knows() {
        let builder = identity(&plan::service_account("ci", "builder"));
        assert_eq!(builder.user.as_deref(), Some("system:serviceaccount:ci:builder"));
        assert!(builder.groups.contains(&"system:serviceaccounts:ci".to_owned()));
        assert_eq!(identity(&plan::group("devs")), Identity { user: None, groups: vec!["devs".into()] });
        assert_eq!(identity(&plan::user("ann")).user.as_deref(), Some("ann"));
        assert_eq!(Shown(&plan::service_account("ci", "builder")).to_string(), "ServiceAccount ci:builder");
    }
}
