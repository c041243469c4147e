//! How an operator was installed, as its Deployment says.

use k8s_openapi::api::apps::v1::Deployment;
use reposure_admin::{
    AdminError, OperatorOptions, Scope, Verb,
    plan::{EXEC_POLICY, LOG_FORMAT, NETWORK_POLICIES},
};
use reposure_api::{labels::MANAGED_BY, names};

use crate::{
    context::Cluster,
    exit::{Failure, Kind},
};

/// What Helm calls itself in the labels of what it installed.
const HELM: &str = "Helm";

/// Why it is not known how an operator was installed.
#[derive(Debug, thiserror::Error)]
pub(super) enum InstalledError {
    /// It may not be read.
    #[error("cannot see how the operator is installed")]
    Read(#[source] AdminError),
    /// Helm keeps it, and would undo whatever is done to it here.
    #[error("cannot change the operator")]
    ByHelm(#[source] Failure),
}

/// Reads how the operator in the namespace was installed; none if there is none.
///
/// # Errors
/// When it may not be read, or is Helm's.
pub(super) async fn options(cluster: &Cluster) -> Result<Option<OperatorOptions>, InstalledError> {
    let found = cluster.api::<Deployment>().get_opt(names::OPERATOR).await;
    let failed = |error| cluster.failed::<Deployment>(Verb::Get, names::OPERATOR, error);
    let found = found.map_err(|error| InstalledError::Read(failed(error)))?;
    if found.as_ref().is_some_and(is_helms) {
        let failure = Failure::new(Kind::Conflict, "it was installed by Helm");
        return Err(InstalledError::ByHelm(failure.hint("helm upgrade, helm uninstall")));
    }
    Ok(found.as_ref().map(|deployment| of(deployment, &cluster.namespace)))
}

fn is_helms(deployment: &Deployment) -> bool {
    let labels = deployment.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|manager| manager == HELM)
}

/// Takes back what `plan::operator` made of options. The role that was bound beside its own is not told: `rights` keeps it.
fn of(deployment: &Deployment, namespace: &str) -> OperatorOptions {
    let spec = deployment.spec.as_ref();
    let pod = spec.and_then(|spec| spec.template.spec.as_ref());
    let container = pod.and_then(|pod| pod.containers.first());
    let args = container.and_then(|container| container.args.as_deref()).unwrap_or_default();
    let value = |flag: &str| {
        let position = args.iter().position(|arg| arg == flag)?;
        args.get(position + 1).map(String::as_str)
    };
    let list = |flag| {
        value(flag).map(|text| text.split(',').map(Into::into).collect::<Vec<_>>()).unwrap_or_default()
    };
    let scope = match list("--namespace") {
        _ if args.iter().any(|arg| arg == "--all-namespaces") => Scope::Cluster,
        named if named.is_empty() || named == [namespace] => Scope::Namespace,
        named => Scope::Namespaces(named),
    };
    let replicas = spec.and_then(|spec| spec.replicas).and_then(|number| u16::try_from(number).ok());
    let new = OperatorOptions::new(namespace);
    OperatorOptions {
        scope,
        image: container.and_then(|container| container.image.clone()).unwrap_or_else(|| new.image.clone()),
        pull_secret: value("--image-pull-secret").map(Into::into),
        replicas: replicas.unwrap_or(new.replicas),
        architectures: list("--architectures"),
        log_format: value(LOG_FORMAT).and_then(|name| name.parse().ok()),
        network_policies: args.iter().any(|arg| arg == NETWORK_POLICIES),
        exec_policy: deployment
            .metadata
            .annotations
            .as_ref()
            .is_some_and(|all| all.contains_key(EXEC_POLICY)),
        crd: false,
        ..new
    }
}

#[cfg(test)]
mod tests {
    use reposure_admin::plan::{self, LogFormat};

    use super::*;

    #[test]
    fn what_was_installed_is_read_back() {
        for scope in [Scope::Namespace, Scope::Cluster, Scope::Namespaces(vec!["a".into(), "b".into()])] {
            let options = OperatorOptions {
                scope,
                image: "host/image:1".into(),
                pull_secret: Some("secret".into()),
                replicas: 3,
                architectures: vec!["amd64".into(), "arm64".into()],
                log_format: Some(LogFormat::Json),
                network_policies: true,
                exec_policy: true,
                crd: false,
                ..OperatorOptions::new("team")
            };
            let plan = plan::operator(&options);
            let last = plan.objects().last().unwrap().to_dynamic().unwrap();
            let deployment: Deployment = last.try_parse().unwrap();
            assert_eq!(of(&deployment, "team"), options);
        }
    }
}
