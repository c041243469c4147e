//! `reposure operator install`

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use kube::Resource as _;
use reposure_admin::{
    AdminError, Applied, ApplyOptions, Manager, Object, ObjectName, OperatorOptions, Plan, Scope, apply,
    manifests,
    plan::{self, LogFormat},
    wait,
};
use reposure_api::{Registry, labels::Application, names};

use super::{
    certificates,
    installed::{self, InstalledError},
};
use crate::{
    args::{WaitArgs, log_formats},
    commands::{report, rollout},
    context::{Cluster, Context},
    exit::{Failure, Kind},
    output,
};

/// Install the operator
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// See to the registries of all namespaces, not only of this one
    #[arg(long, short = 'c')]
    cluster: bool,
    /// See to the registries of these namespaces, not only of this one
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',', conflicts_with = "cluster")]
    watch: Vec<String>,
    /// How many operators run: one sees to registries, the others stand by
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    replicas: u16,
    /// What the image is built for, as nodes name it (amd64, arm64); any node by default
    #[arg(long, value_name = "ARCHITECTURE", value_delimiter = ',')]
    architectures: Vec<String>,
    /// How operator and surrogates write their logs; by default the operator as text, and surrogates as JSON
    #[arg(long, value_name = "FORMAT", value_parser = log_formats())]
    log_format: Option<LogFormat>,
    /// Keep a `NetworkPolicy` for each surrogate, which closes all of its ports but the two that it serves, and all ways from it but those to
    /// its registry, DNS and API server
    #[arg(long)]
    network_policies: bool,
    /// Let nothing but sessions of reposure run in surrogates, whoever may exec into pods: a policy of the cluster, which takes an
    /// administrator
    #[arg(long)]
    exec_policy: bool,
    /// Bind this cluster role to the operator too
    #[arg(long, short = 'e', value_name = "NAME")]
    role: Option<String>,
    /// The registry that the image comes from
    #[arg(long, short = 'g', value_name = "HOST", default_value = plan::DEFAULT_IMAGE_HOST)]
    registry: String,
    /// The image of operator and surrogates, instead of the one of this version at --registry
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The Secret that the nodes pull the image with
    #[arg(long, value_name = "SECRET")]
    image_pull_secret: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

impl InstallArgs {
    pub(super) fn options(&self, namespace: &str) -> OperatorOptions {
        OperatorOptions {
            scope: self.scope(),
            replicas: self.replicas,
            architectures: self.architectures.clone(),
            log_format: self.log_format,
            image: self.image.clone().unwrap_or_else(|| plan::image(&self.registry)),
            pull_secret: self.image_pull_secret.clone(),
            role: self.role.clone(),
            network_policies: self.network_policies,
            exec_policy: self.exec_policy,
            ..OperatorOptions::new(namespace)
        }
    }

    fn scope(&self) -> Scope {
        match &self.watch[..] {
            _ if self.cluster => Scope::Cluster,
            [] => Scope::Namespace,
            namespaces => Scope::Namespaces(namespaces.to_vec()),
        }
    }
}

pub(super) async fn run(context: &Context, args: &InstallArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let options = args.options(&cluster.namespace);
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
    if let Some(before) = before {
        changed.extend(without_policy(&cluster, &before, &options).await?);
    }
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
