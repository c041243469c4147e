//! `reposure operator upgrade`

use anyhow::{Context as _, Result};
use clap::Args;
use kube::{Api, api::ListParams};
use reposure_admin::{OperatorOptions, Scope, apply, plan, wait};
use reposure_api::{Registry, SurrogateNames, labels::Application, names};

use super::{
    certificates,
    install::{by_hand, define},
    installed, rights,
};
use crate::{
    args::WaitArgs,
    commands::{report, rollout},
    context::{Cluster, Context},
    exit::{Failure, Kind},
};

/// Bring the operator, the definition of Registry and all surrogates to this version
///
/// The operator stays installed as it is; pushes and pulls outlive the change of their surrogate.
#[derive(Debug, Args)]
pub(crate) struct UpgradeArgs {
    /// The image of operator and surrogates, instead of the one of this version where the present one comes from
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(context: &Context, args: &UpgradeArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let Some(before) = installed::options(&cluster).await? else {
        let message = format!("there is no operator in namespace {}", cluster.namespace);
        let hint = "--namespace with the one that it is in, or `reposure operator install`";
        return Err(Failure::new(Kind::NotFound, message).hint(hint).into());
    };
    let image = args.image.clone().unwrap_or_else(|| successor(&before.image));
    let options = OperatorOptions { image, ..before };
    define(&cluster, args.wait.timeout).await?;
    let applied = apply::apply_all(&cluster.client, &plan::operator(&options), &by_hand()).await;
    let mut applied = applied.context("cannot upgrade the operator")?;
    let taken = rights::take_superfluous(&cluster, &options).await?;
    applied.extend(taken.applied);
    taken.left.iter().for_each(rights::Left::say);
    applied.extend(certificates::grant(&cluster, &options.scope).await);
    report::changes(context, &applied)?;
    if args.wait.wait {
        let limit = args.wait.timeout;
        rollout::wait(&cluster, names::OPERATOR, Application::Operator, "the operator", limit).await?;
        surrogates(&cluster, &options, args).await?;
    }
    Ok(())
}

/// Returns the image of this version beside another one's; one of another name has none.
fn successor(image: &str) -> String {
    let new = plan::image(plan::DEFAULT_IMAGE_HOST);
    let path = new.strip_prefix(plan::DEFAULT_IMAGE_HOST).unwrap_or(&new);
    let name = path.rsplit_once(':').map_or(path, |(name, _)| name);
    match image.rsplit_once(':') {
        Some((before, _)) if before.ends_with(name) => plan::image(before.trim_end_matches(name)),
        _ => image.into(),
    }
}

/// Waits until each surrogate is of the new image.
async fn surrogates(cluster: &Cluster, options: &OperatorOptions, args: &UpgradeArgs) -> Result<()> {
    let client = &cluster.client;
    let apis: Vec<Api<Registry>> = match &options.scope {
        Scope::Cluster => vec![Api::all(client.clone())],
        Scope::Namespace => vec![cluster.api()],
        Scope::Namespaces(named) => {
            named.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
        }
    };
    for api in apis {
        let registries = api.list(&ListParams::default()).await.context("cannot list registries")?;
        for registry in registries {
            let namespace = registry.metadata.namespace.unwrap_or_default();
            let name = registry.metadata.name.unwrap_or_default();
            let set = SurrogateNames::new(&name).stateful_set().to_owned();
            let waited =
                wait::stateful_set_updated(client, &namespace, &set, &options.image, args.wait.timeout).await;
            waited
                .with_context(|| format!("the operator is upgraded, but not registry {namespace}/{name}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_followed_by_this_versions_from_the_same_place() {
        let new = |host| plan::image(host);
        assert_eq!(successor("docker.io/reposure/reposure:0.1.0"), new("docker.io"));
        assert_eq!(successor("local:5000/mirror/reposure/reposure:0.1.0"), new("local:5000/mirror"));
        assert_eq!(successor("local:5000/own:7"), "local:5000/own:7");
    }
}
