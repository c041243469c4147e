//! `reposure doctor [REGISTRY]`

mod check;
mod client;
mod cluster;
mod credentials;
mod direct;
mod figures;
mod registry;
mod rights;
mod speed;
mod storage;
mod timed;
mod volume;
mod way;

use anyhow::Result;
use clap::Args;
use reposure_client::session::Session;
use reposure_parcel::wire::Right;

use crate::{
    connect::{self, ChannelChoice, Sought},
    context::{Cluster, Context},
    exit::Failure,
    format::Format,
    output,
};

use check::{Check, State};

/// Check the way to a registry, hop by hop
///
/// This program's version, the kubeconfig and until when its credentials are good, the API server and its clock, the registry's conditions, your rights, each
/// channel, the surrogate and the registry behind it, and whether that can store a blob: each is looked at and timed, and where one
/// fails it is said what to try. Nothing is changed: what is sent to the registry is taken back. No more than 16 MiB are sent and
/// fetched in all.
///
/// With -o json or yaml a check has its figures as fields, where it has any: firstAnswerMs, roundTripMs, upMibPerSecond,
/// downMibPerSecond, clockSkewSeconds (more than 0: this clock is ahead), expires and version.
///
/// The exit code is 0 if you can work with the registry, and else that of the first hop that fails. A warning is no failure: a
/// right that is missing may be one that you do not need.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The registry's name
    #[arg(default_value = "default")]
    registry: String,
}

pub(super) async fn run(context: &Context, args: &DoctorArgs) -> Result<()> {
    let checks = examine(context, &args.registry).await;
    match context.format() {
        format @ (Format::Json | Format::Yaml) => output::structured(format, &checks)?,
        _ => output::print(&output::lines(checks.iter().flat_map(Check::lines)))?,
    }
    let failed = checks.iter().filter(|check| check.state == State::Failed);
    let Some(first) = failed.clone().next() else { return Ok(()) };
    let message = format!("{} of {} checks failed, first: {}", failed.count(), checks.len(), first.name);
    Err(Failure::new(first.kind, message).into())
}

/// Goes as far as there is a way.
async fn examine(context: &Context, name: &str) -> Vec<Check> {
    let mut checks = vec![client::examine()];
    if context.global.surrogate.is_some() {
        checks.extend(way::local(context, name).await);
        return checks;
    }
    let Some(cluster) = cluster::examine(context, &mut checks).await else { return checks };
    let Some(sought) = registry::examine(&cluster, name, &mut checks).await else { return checks };
    checks.extend(volume::examine(&cluster, &sought).await);
    if context.global.channel == ChannelChoice::Direct {
        direct::examine(context, &cluster, &sought, &mut checks).await;
        return checks;
    }
    let rights = rights::examine(&cluster, &sought, &mut checks).await;
    let is_well = way::examine(context, &cluster, &sought, &rights, &mut checks).await;
    // Whoever may not push is not concerned, and what cannot be reached was said to be so.
    if is_well
        && rights.contains(&Right::Push)
        && let Some(session) = to_store(context, &cluster, &sought).await
    {
        checks.extend(storage::examine(&session).await);
    }
    checks
}

/// Opens a session to push by. The channels were timed, and are not timed again.
async fn to_store(context: &Context, cluster: &Cluster, sought: &Sought) -> Option<Session> {
    match context.global.channel {
        ChannelChoice::Kubectl => connect::kubectl::session(context, &sought.name, Right::Push).await.ok(),
        choice => connect::untimed(cluster, sought, choice, Right::Push).await.ok(),
    }
}
