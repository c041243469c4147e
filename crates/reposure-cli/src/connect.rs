//! From a registry's name to a session with its surrogate.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};
use reposure_api::{Registry, SurrogateNames};
use reposure_client::{
    channel::{Channel, Local, Proxy},
    session::Session,
    token::{NoTokens, ServiceAccountTokens, TokenSource},
};
use reposure_parcel::wire::{self, Right};

use crate::{
    context::{Cluster, Context},
    exit::{Failure, Kind},
};

/// Opens a session with the surrogate of the registry `name`, with the rights of `right`.
pub(crate) async fn session(context: &Context, name: &str, right: Right) -> Result<Arc<Session>> {
    if let Some(address) = context.global.surrogate {
        let channel: Arc<dyn Channel> = Arc::new(Local::new(address)?);
        let session = Session::open(channel, Arc::new(NoTokens), right).await;
        return Ok(Arc::new(session.with_context(|| format!("cannot reach the surrogate at {address}"))?));
    }
    let cluster = context.cluster().await?;
    let registry = find(&cluster, name).await?;
    let session = through_api_server(&cluster, &registry, right).await.with_context(|| {
        format!("cannot reach the surrogate of registry {name} in namespace {}", cluster.namespace)
    })?;
    check(&cluster, &registry, &session).await?;
    Ok(Arc::new(session))
}

/// Finds a registry by its name.
pub(crate) async fn find(cluster: &Cluster, name: &str) -> Result<Registry> {
    let api: Api<Registry> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let found = api.get_opt(name).await.with_context(|| format!("cannot look for registry {name}"))?;
    found.ok_or_else(|| {
        let message = format!("there is no registry {name} in namespace {}", cluster.namespace);
        Failure::new(Kind::NotFound, message)
            .hint("reposure registry list, or reposure registry create")
            .into()
    })
}

async fn through_api_server(cluster: &Cluster, registry: &Registry, right: Right) -> Result<Session> {
    let (namespace, name) = (&cluster.namespace, registry.name_any());
    let port = registry.spec.surrogate_port.unwrap_or(wire::PORT);
    let channel = Proxy::new(cluster.api_server.clone(), namespace, &pod_name(registry), port);
    let names = SurrogateNames::new(&name);
    let account = move |right| match right {
        Right::Pull => names.pull_account(),
        Right::Push => names.push_account(),
        Right::Admin => names.admin_account(),
    };
    let audience = wire::audience(namespace, &name);
    let tokens: Arc<dyn TokenSource> =
        Arc::new(ServiceAccountTokens::new(cluster.client.clone(), namespace, audience, account));
    Ok(Session::open(Arc::new(channel), tokens, right).await?)
}

fn pod_name(registry: &Registry) -> String {
    let published = registry.status.as_ref().and_then(|status| status.surrogate_pod.clone());
    published.unwrap_or_else(|| SurrogateNames::new(&registry.name_any()).pod())
}

/// Makes sure that what answered is the surrogate meant: the API server may reach an address that another pod has now.
async fn check(cluster: &Cluster, registry: &Registry, session: &Session) -> Result<()> {
    let (hello, name) = (session.hello(), registry.name_any());
    let other = |what: String| {
        Failure::new(Kind::Unreachable, format!("another surrogate answered: {what}"))
            .hint("try again in a few seconds")
    };
    if (&hello.namespace, &hello.registry) != (&cluster.namespace, &name) {
        return Err(other(format!("that of registry {}/{}", hello.namespace, hello.registry)).into());
    }
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    // Without the right to read pods the namespace and name in the hello, and the token's audience, must do.
    if let Ok(Some(pod)) = pods.get_opt(&pod_name(registry)).await
        && pod.uid().is_some_and(|uid| uid != hello.pod_uid)
    {
        return Err(other(format!("a pod with UID {}", hello.pod_uid)).into());
    }
    Ok(())
}
