//! From a registry's name to a session with its surrogate, or without one.

pub(crate) mod direct;
pub(crate) mod kubectl;
mod ladder;
mod memory;
mod obstacle;
mod pace;
pub(crate) mod review;
mod sought;
mod way;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, ResourceExt, api::ListParams};
use reposure_admin::Verb;
use reposure_api::{
    Registry, SurrogateNames,
    conditions::{self, ConditionType},
};
use reposure_client::{
    channel::{Channel, Local},
    push::Ahead,
    retry::Backoff,
    session::{FAR, Session},
    token::{NoTokens, ServiceAccountTokens, TokenSource},
};
use reposure_parcel::{
    hello::Hello,
    wire::{self, Right},
};
use tokio::time::{Instant, timeout};

use crate::{
    context::{Cluster, Context},
    exit::{Failure, Kind},
    standalone,
};

use memory::{ChannelMemory, Remembered};

pub(crate) use ladder::Destination;
pub(crate) use obstacle::LadderError;
pub(crate) use sought::Sought;
pub(crate) use way::{ChannelChoice, Way};

/// How long a surrogate that was ready is waited for: a pod whose image is on the node is back within a few seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the API server may take to give one object: as long as a surrogate may take to give any answer.
pub(crate) const LOOK_DEADLINE: Duration = Duration::from_secs(30);

/// A round trip to the API server for TCP, one for TLS, and one for the first answer.
const FIRST_ROUND_TRIPS: u32 = 3;
/// The first requests, all at once: for the registry as either form, its pod, and a token.
const FIRST_REQUESTS: usize = 4;

/// Opens a session for the registry `name`, with the rights of `right`.
pub(crate) async fn session(context: &Context, name: &str, right: Right) -> Result<Arc<Session>> {
    session_for(context, name, right, None).await
}

/// Does the same for a push of which something is known.
pub(crate) async fn session_for(
    context: &Context,
    name: &str,
    right: Right,
    ahead: Option<&Ahead>,
) -> Result<Arc<Session>> {
    if let Some(address) = context.global.surrogate {
        let channel: Arc<dyn Channel> = Arc::new(local(address)?);
        let session = Session::open(channel, Arc::new(NoTokens), right).await;
        return Ok(Arc::new(session.with_context(|| format!("cannot reach the surrogate at {address}"))?));
    }
    if context.global.channel == ChannelChoice::Kubectl {
        return kubectl::session(context, name, right).await.map(Arc::new);
    }
    if context.global.channel == ChannelChoice::Direct {
        return direct::session(context, name, right).await.map(Arc::new);
    }
    let cluster = context.cluster().await?;
    let (tokens, guessed) = (tokens(&cluster, name), SurrogateNames::new(name).pod());
    let memory = context.perspective();
    let memory = memory.and_then(|seen| ChannelMemory::new(&seen, &cluster.namespace, name, right));
    let before = memory.as_ref().and_then(ChannelMemory::recall);
    // The other channels have connections of their own.
    let ahead_by_proxy = ahead.filter(|_| first_way(context.global.channel, before) == Some(Way::Proxy));
    let (began, is_far) = (Instant::now(), before.is_some_and(|before| before.is_far));
    if let Some(ahead) = ahead_by_proxy.filter(|_| is_far) {
        cluster.api_server.expect(ahead.requests().max(FIRST_REQUESTS));
    }
    // At once, since on a long way each round trip counts. A token that cannot be had is asked for again, and is missed then.
    let (registry, uid, _) = tokio::join!(
        Sought::find(&cluster, name),
        pod_uid(&cluster, &guessed),
        timeout(LOOK_DEADLINE, tokens.token(right))
    );
    let registry = registry?;
    let is_found_far = !is_far && began.elapsed() >= FAR * FIRST_ROUND_TRIPS;
    if let Some(ahead) = ahead_by_proxy.filter(|_| is_found_far) {
        cluster.api_server.expect(ahead.requests());
    }
    let ahead =
        ahead.cloned().map(|ahead| if is_far || is_found_far { ahead.over_a_long_way() } else { ahead });
    let pod = registry.pod();
    let destination = destination(&cluster, &registry, &pod, right).with(tokens, ahead.as_ref());
    let session = patiently(&destination, &registry, context.global.channel, memory.as_ref()).await;
    let session =
        session.map_err(|error| unreached(&destination, &registry, context.global.channel, error))?;
    let uid = uid.filter(|_| pod == guessed);
    // What was seen before may be a surrogate that has been replaced since.
    if uid.is_none() || other(session.hello(), &cluster.namespace, name, uid.as_deref()).is_some() {
        check(&cluster, &registry, &pod, &session).await?;
    }
    Ok(Arc::new(session))
}

/// Says where the surrogate of a registry is, in `pod`, to work with the rights of `right`.
pub(crate) fn destination<'a>(
    cluster: &'a Cluster,
    registry: &Sought,
    pod: &'a str,
    right: Right,
) -> Destination<'a> {
    let (api_server, namespace) = (&cluster.api_server, cluster.namespace.as_str());
    let tokens = tokens(cluster, &registry.name);
    Destination { api_server, namespace, pod, port: registry.port(), tokens, right, ahead: None }
}

/// Returns the channel that is tried first.
fn first_way(choice: ChannelChoice, before: Option<Remembered>) -> Option<Way> {
    match choice.ways() {
        [only] => Some(*only),
        ways => before.map(|before| before.way).or_else(|| ways.first().copied()),
    }
}

fn local(address: SocketAddr) -> Result<Local, Failure> {
    Local::new(address).map_err(|error| Failure::new(Kind::Usage, format!("--surrogate: {error}")))
}

/// Finds a registry by its name.
pub(crate) async fn find(cluster: &Cluster, name: &str) -> Result<Registry> {
    let api = cluster.api::<Registry>();
    match tokio::join!(api.get_opt(name), standalone::find(cluster, name)) {
        (Ok(Some(registry)), _) => Ok(registry),
        (_, Some(kept)) => Ok(kept),
        (found, None) => found_or_missing(cluster, name, found).await,
    }
}

/// Asks the surrogate of a registry who it is.
pub(crate) async fn hello(
    cluster: &Cluster,
    registry: &Sought,
    choice: ChannelChoice,
) -> Result<Hello, LadderError> {
    Ok(untimed(cluster, registry, choice, Right::Pull).await?.hello().clone())
}

/// Opens a session over the first channel that is open, however slow: nothing is sent to time it, and nothing remembered.
pub(crate) async fn untimed(
    cluster: &Cluster,
    registry: &Sought,
    choice: ChannelChoice,
    right: Right,
) -> Result<Session, LadderError> {
    destination(cluster, registry, &registry.pod(), right).climb(choice, None).await
}

async fn found_or_missing(
    cluster: &Cluster,
    name: &str,
    found: kube::Result<Option<Registry>>,
) -> Result<Registry> {
    match found.map_err(|error| cluster.failed::<Registry>(Verb::Get, name, error)) {
        Ok(Some(registry)) => Ok(registry),
        Ok(None) => Err(missing(cluster, name).await.into()),
        Err(error) => Err(error).with_context(|| format!("cannot look for registry {name}")),
    }
}

/// Says what is not there: the registry, or its namespace, or the kind as such.
pub(crate) async fn missing(cluster: &Cluster, name: &str) -> Failure {
    let namespace = &cluster.namespace;
    let failure = |message: String| Failure::new(Kind::NotFound, message);
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    // Whoever may not look at namespaces gets the plain answer.
    if let Ok(None) = namespaces.get_opt(namespace).await {
        return failure(format!("there is no namespace {namespace}"))
            .hint("--namespace with one that exists");
    }
    match cluster.api::<Registry>().list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            failure("this cluster knows no registries".into()).hint("reposure operator install --wait")
        }
        Ok(list) if !list.items.is_empty() => {
            let known: Vec<String> = list.iter().map(ResourceExt::name_any).collect();
            failure(format!("there is no registry {name} in namespace {namespace}"))
                .hint(format!("one of those that are there: {}", known.join(", ")))
        }
        _ => failure(format!("there is no registry {name} in namespace {namespace}"))
            .hint("--namespace, or reposure registry create"),
    }
}

/// Waits for a surrogate that is being replaced: then the API server answers by itself, that there is no pod or that it is away.
async fn patiently(
    destination: &Destination<'_>,
    registry: &Sought,
    choice: ChannelChoice,
    memory: Option<&ChannelMemory>,
) -> Result<Session, LadderError> {
    let mut backoff = Backoff::new(PATIENCE);
    loop {
        match destination.climb(choice, memory).await {
            Err(error) if error.is_transient() && registry.is_expected() => {
                if !backoff.pause().await {
                    return Err(error);
                }
            }
            done => return done,
        }
    }
}

/// Gives tokens of the registry's access ServiceAccounts.
fn tokens(cluster: &Cluster, name: &str) -> Arc<dyn TokenSource> {
    let (namespace, registry) = (&cluster.namespace, name.to_owned());
    let audience = wire::audience(namespace, name);
    let account = move |right| account(&registry, right);
    Arc::new(ServiceAccountTokens::new(cluster.client.clone(), namespace, audience, account))
}

/// Returns the ServiceAccount whose tokens give a right to a registry.
pub(crate) fn account(registry: &str, right: Right) -> String {
    let names = SurrogateNames::new(registry);
    match right {
        Right::Pull => names.pull_account(),
        Right::Push => names.push_account(),
        Right::Admin => names.admin_account(),
    }
}

/// Says which surrogate was not reached, and what its operator says of it, or which right is missing.
fn unreached(
    destination: &Destination<'_>,
    registry: &Sought,
    choice: ChannelChoice,
    error: LadderError,
) -> Failure {
    let (namespace, name) = (destination.namespace, &registry.name);
    let message = format!("cannot reach the surrogate of registry {name} in namespace {namespace}");
    if error.is_denied() {
        let roles = destination.roles(choice, &error);
        return because(message, error).hint(roles);
    }
    match conditions::find(registry.conditions(), ConditionType::Ready) {
        None if registry.is_standalone() => {
            because(message, error).hint(format!("reposure registry describe {name}"))
        }
        None if registry.is_known() => {
            because(format!("{message}: no operator has seen the registry yet"), error)
                .hint(format!("reposure operator install --wait --namespace {namespace}"))
        }
        Some(ready) if ready.status != "True" => {
            because(format!("{message}, which is not ready: {}: {}", ready.reason, ready.message), error)
        }
        _ => because(message, error),
    }
}

fn because(message: String, error: LadderError) -> Failure {
    match error {
        // Whose kind and hint are known.
        LadderError::Session(error) => Failure::because(message, error),
        error => Failure::because(message, error),
    }
}

/// Makes sure that what answered is the surrogate meant: the API server may reach an address that another pod has now.
pub(crate) async fn check(cluster: &Cluster, registry: &Sought, pod: &str, session: &Session) -> Result<()> {
    let uid = pod_uid(cluster, pod).await;
    match other(session.hello(), &cluster.namespace, &registry.name, uid.as_deref()) {
        None => Ok(()),
        Some(what) => {
            let failure = Failure::new(Kind::Unreachable, format!("another surrogate answered: {what}"));
            Err(failure.hint("try again in a few seconds").into())
        }
    }
}

/// Returns the UID of a pod. Without the right to read pods the namespace and name in the hello, and the token's audience, must do.
async fn pod_uid(cluster: &Cluster, pod: &str) -> Option<String> {
    let api = cluster.api::<Pod>();
    let pod = timeout(LOOK_DEADLINE, api.get_opt(pod)).await.ok()?;
    pod.ok().flatten()?.uid()
}

/// Says who answered, if it is another surrogate than the one of this registry in the pod with this UID.
fn other(hello: &Hello, namespace: &str, name: &str, uid: Option<&str>) -> Option<String> {
    if (hello.namespace.as_str(), hello.registry.as_str()) != (namespace, name) {
        return Some(format!("that of registry {}/{}", hello.namespace, hello.registry));
    }
    uid.filter(|uid| *uid != hello.pod_uid).map(|_| format!("a pod with UID {}", hello.pod_uid))
}

#[cfg(test)]
mod tests {
    use reposure_parcel::hello::{Limits, Upstream};

    use super::*;

    #[test]
    fn another_pod_at_the_address_is_noticed() {
        let hello = Hello {
            versions: (1, 1),
            build: String::new(),
            namespace: "shop".into(),
            registry: "default".into(),
            pod_uid: "one".into(),
            right: Right::Pull,
            upstream: Upstream {
                host: String::new(),
                reachable: true,
                problem: None,
                kind: None,
                certificate: None,
            },
            limits: Limits::default(),
            capabilities: Vec::new(),
        };
        assert_eq!(other(&hello, "shop", "default", Some("one")), None);
        assert_eq!(other(&hello, "shop", "default", None), None, "the pod may not be read");
        assert!(other(&hello, "shop", "default", Some("two")).is_some());
        assert!(other(&hello, "shop", "second", Some("one")).is_some());
        assert!(other(&hello, "bank", "default", Some("one")).is_some());
    }
}
