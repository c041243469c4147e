//! `reposure operator install`

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use kube::Resource as _;
use reposure_admin::{
    AdminError, Applied, ApplyOptions, Manager, Object, ObjectName, OperatorOptions, Plan, apply, manifests,
    plan, wait,
};
use reposure_api::{Registry, labels::Application, names};

use super::{
    certificates,
    installed::{self, InstalledError},
    options::OperatorArgs,
    rights,
};
use crate::{
    args::WaitArgs,
    commands::{report, rollout},
    context::{Cluster, Context},
    exit::{Failure, Kind},
    output,
};

/// Install the operator
///
/// What an earlier installation gave the operator and this one does not is taken from it: rights, and the policy on exec.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(context: &Context, args: &InstallArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let options = args.operator.options(&cluster.namespace);
    let before = installed::options(&cluster).await;
    let before = match before {
        // Who may not read it may not replace it either, and is told so below.
        Err(InstalledError::Read(AdminError::Denied { .. })) => None,
        before => before?,
    };
    define(&cluster, args.wait.timeout).await?;
    let rest = plan::operator(&OperatorOptions { crd: false, ..options.clone() });
    let mut changed =
        apply::apply_all(&cluster.client, &rest, &by_hand()).await.context("cannot install the operator")?;
    if let Some(before) = &before {
        changed.extend(without_policy(&cluster, before, &options).await?);
    }
    let taken = rights::take(&cluster, before.as_ref(), Some(&options)).await?;
    changed.extend(taken.applied);
    taken.left.iter().for_each(rights::Left::say);
    changed.extend(certificates::grant(&cluster, &options.scope).await);
    report::changes(context, &changed)?;
    if args.wait.wait {
        let limit = args.wait.timeout;
        rollout::wait(&cluster, names::OPERATOR, Application::Operator, "the operator", limit).await?;
    }
    Ok(())
}

/// Writes the definition of `Registry` and who may use it. Whoever may not goes on where it is there, and else gets it for an administrator.
pub(super) async fn define(cluster: &Cluster, limit: Duration) -> Result<()> {
    match apply::apply_all(&cluster.client, &plan::definition(), &by_hand()).await {
        Ok(_) => Ok(wait::crd_established(&cluster.client, limit).await?),
        Err(AdminError::Denied { .. }) if is_defined(cluster).await => Ok(()),
        Err(error @ AdminError::Denied { .. }) => {
            output::write(&manifests::crd()?)?;
            let hint = "give the YAML on standard output to an administrator, for `kubectl apply`, and call this again";
            Err(Failure::new(Kind::Denied, format!("Registry is not defined in this cluster: {error}"))
                .hint(hint)
                .into())
        }
        Err(error) => Err(error).context("cannot define Registry"),
    }
}

/// Asks what the cluster serves, which anyone may: whoever may not list registries is told so, whether there are any or not.
async fn is_defined(cluster: &Cluster) -> bool {
    match cluster.client.list_api_group_resources(&Registry::api_version(&())).await {
        Ok(served) => served.resources.iter().any(|resource| resource.name == Registry::plural(&())),
        // A cluster that hides that too may have it.
        Err(kube::Error::Api(status)) => status.code == 403,
        Err(_) => false,
    }
}

/// Deletes the policy of the operator as it was, unless it is that of the one which is now.
async fn without_policy(
    cluster: &Cluster,
    before: &OperatorOptions,
    now: &OperatorOptions,
) -> Result<Vec<Applied>> {
    let kept: Vec<ObjectName> = plan::operator_exec_policy(now).iter().map(Object::name).collect();
    let stale =
        plan::operator_exec_policy(before).into_iter().filter(|object| !kept.contains(&object.name()));
    let deleted = apply::delete_all(&cluster.client, &Plan::of(stale)).await;
    deleted.context("cannot remove the policy on exec")
}

pub(crate) fn by_hand() -> ApplyOptions {
    ApplyOptions { manager: Manager::Cli, ..ApplyOptions::default() }
}
