//! The channel `direct`: no surrogate, but the registry itself, where it can be reached from here.
//!
//! Nothing is asked of the API server but the `Registry`, and what it names, as far as the user may read that.

mod authority;
mod credentials;
mod readable;
mod secret;
mod upstream;

use std::{
    error::Error as StdError,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use reposure_admin::plan::upload_strategy;
use reposure_api::{RegistryKind, RegistryScheme};
use reposure_client::{channel::Direct, session::Session, token::NoTokens};
use reposure_oci::{
    DirectOptions, DirectTransport,
    direct::{Cause, DirectError},
    registry::{self, Client},
};
use reposure_parcel::{kind::RegistryKind as Kinds, wire::Right};
use tokio::time::timeout;

use super::{ChannelChoice, Sought};
use crate::{
    args::GlobalArgs,
    context::{Cluster, Context},
    exit::{Failure, Kind, OTHER_CHANNEL},
};

pub(crate) use credentials::docker_hosts;
use secret::RegistrySecret;
use upstream::Upstream;

/// How long a registry may take to be found where nobody asked for this channel: as long as a name may take to be resolved.
const GLANCE: Duration = Duration::from_secs(3);

/// Refuses options of this channel where it is not chosen: they would say nothing, and whoever gives them means something else.
pub(crate) fn check(global: &GlobalArgs) -> Result<(), Failure> {
    if global.registry_ca.is_none() || global.channel == ChannelChoice::Direct {
        return Ok(());
    }
    let message = "--registry-ca is for --channel direct: a surrogate has the registry's authority";
    Err(Failure::new(Kind::Usage, message).hint("leave it out"))
}

/// Opens a session with the registry `name` itself.
pub(super) async fn session(context: &Context, name: &str, right: Right) -> Result<Session> {
    let cluster = context.cluster().await?;
    let sought = Sought::find(&cluster, name).await?;
    open(context, &cluster, &sought, right).await
}

/// Opens a session with a registry itself.
pub(crate) async fn open(
    context: &Context,
    cluster: &Cluster,
    sought: &Sought,
    right: Right,
) -> Result<Session> {
    let upstream = Upstream::of(cluster, sought).await?;
    let mut options = DirectOptions::new(upstream.endpoint()?);
    options.trust = authority::trust(&upstream, context.global.registry_ca.as_deref()).await?;
    let secret = RegistrySecret::find(&upstream).await?;
    if upstream.scheme == RegistryScheme::Https {
        options.identity = secret.as_ref().map(RegistrySecret::identity).transpose()?.flatten();
    }
    options.credentials = Arc::new(credentials::DirectCredentials::find(&upstream, secret.as_ref()).await?);
    options.realm = upstream.realm()?;
    let transport = DirectTransport::new(options)
        .context("cannot use the registry's authority or its certificate for us")?;
    let (namespace, name) = (&cluster.namespace, &sought.name);
    let upload = upload_strategy(upstream.registry.spec.upload);
    let kind = upstream.registry.spec.registry_kind().map(|kind| match kind {
        RegistryKind::OpenShift => Kinds::OpenShift,
        RegistryKind::Harbor => Kinds::Harbor,
    });
    let channel = Direct::open(namespace, name, transport, upload, kind).await;
    let channel = channel.map_err(|error| unreached(&upstream, error))?;
    tracing::info!("channel direct, to {}", upstream.host);
    Ok(Session::open(Arc::new(channel), Arc::new(NoTokens), right).await?)
}

fn unreached(upstream: &Upstream<'_>, error: registry::Error) -> Failure {
    let hint = match cause(&error) {
        Some(Cause::CertificateUntrusted) => "--registry-ca FILE with the registry's authority",
        Some(Cause::Tls | Cause::NoHttp) => {
            "let the registry say how it is dialled: reposure registry create --scheme=http or https"
        }
        _ => OTHER_CHANNEL,
    };
    let (name, namespace) = (upstream.name, upstream.namespace);
    let message = format!("cannot reach registry {name} in namespace {namespace} without a surrogate");
    Failure::because(message, error).hint(hint)
}

fn cause(error: &registry::Error) -> Option<Cause> {
    let mut causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.find_map(|error| error.downcast_ref::<DirectError>()).map(|error| error.cause)
}

/// Where a registry is, and how long it took to answer.
pub(crate) struct Glance {
    pub(crate) host: String,
    pub(crate) took: Duration,
}

/// Finds out whether a registry answers here, within 3 s: nobody's credentials are looked for.
pub(crate) async fn glance(cluster: &Cluster, sought: &Sought) -> Option<Glance> {
    let look = async {
        let upstream = Upstream::of(cluster, sought).await.ok()?;
        let mut options = DirectOptions::new(upstream.endpoint().ok()?);
        options.trust = authority::trust(&upstream, None).await.ok()?;
        let begin = Instant::now();
        let answer = Client::new(DirectTransport::new(options).ok()?).ping().await;
        let is_there = answer.map_or_else(|error| error.is_denied(), |_| true);
        is_there.then(|| Glance { host: upstream.host, took: begin.elapsed() })
    };
    timeout(GLANCE, look).await.ok().flatten()
}
