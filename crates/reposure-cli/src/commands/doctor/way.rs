//! The channels, the surrogate, and the registry behind it.

use std::time::Instant;

use anyhow::Result;
use reposure_parcel::{hello::Hello, wire::Right};

use super::{check::Check, direct, figures::Figures, speed::Share, storage, timed::Timed};
use crate::{
    connect::{self, LadderError, Sought, Way},
    context::{Cluster, Context},
    exit::Kind,
};

/// The last hop.
pub(super) const REGISTRY: &str = "the registry itself";

/// Tries each channel with the least of the rights that are there, and tells whether the registry is well behind one of them.
pub(super) async fn examine(
    context: &Context,
    cluster: &Cluster,
    sought: &Sought,
    rights: &[Right],
    checks: &mut Vec<Check>,
) -> bool {
    let Some(right) = rights.first().copied() else { return false };
    let share = Share::of(channels());
    // At once, since to find out that a registry is not reached from here may take some seconds.
    let ((mut results, mut hello), direct) =
        tokio::join!(all(cluster, sought, right, share), direct::glance(cluster, sought));
    results.extend(kubectl(context, &sought.name, right, share, &mut hello).await);
    // One channel is enough.
    let is_open = hello.is_some();
    checks.extend(results.into_iter().map(|check| if is_open { check.at_most_warning() } else { check }));
    checks.extend(direct);
    checks.extend(hello.iter().flat_map(beyond));
    hello.is_some_and(|hello| hello.upstream.reachable)
}

/// Returns how many channels are tried.
fn channels() -> u32 {
    let kubectl = connect::kubectl::program();
    Way::ALL.into_iter().map(|_| 1).chain(kubectl.map(|_| 1)).sum()
}

/// Tries each channel that may be taken by itself, and returns what was said over the first one that is open.
async fn all(cluster: &Cluster, sought: &Sought, right: Right, share: Share) -> (Vec<Check>, Option<Hello>) {
    let (mut results, mut hello) = (Vec::new(), None);
    for way in Way::ALL {
        let name = format!("channel {way}");
        results.push(match open(cluster, sought, way, right, share).await {
            Ok((said, timed)) => {
                hello.get_or_insert(said);
                timed.check(name)
            }
            Err(error) => Check::because(name, &error),
        });
    }
    (results, hello)
}

/// Tries `kubectl exec`, where there is a kubectl.
async fn kubectl(
    context: &Context,
    name: &str,
    right: Right,
    share: Share,
    hello: &mut Option<Hello>,
) -> Option<Check> {
    connect::kubectl::program()?;
    let begin = Instant::now();
    let opened = async {
        let session = connect::kubectl::session(context, name, right).await?;
        let timed = Timed::measure(&session, share, begin.elapsed()).await?;
        hello.get_or_insert_with(|| session.hello().clone());
        anyhow::Ok(timed)
    };
    let title = "channel kubectl";
    Some(opened.await.map_or_else(|error| Check::because(title, &error), |timed| timed.check(title)))
}

async fn open(
    cluster: &Cluster,
    sought: &Sought,
    way: Way,
    right: Right,
    share: Share,
) -> Result<(Hello, Timed)> {
    let begin = Instant::now();
    let pod = sought.pod();
    let destination = connect::destination(cluster, sought, &pod, right);
    let session = destination.open(way).await.map_err(LadderError::into_error)?;
    let timed = Timed::measure(&session, share, begin.elapsed()).await?;
    connect::check(cluster, sought, &pod, &session).await?;
    Ok((session.hello().clone(), timed))
}

/// Looks at a surrogate on this machine.
pub(super) async fn local(context: &Context, name: &str) -> Vec<Check> {
    let begin = Instant::now();
    let opened = async {
        let session = connect::session(context, name, Right::Pull).await?;
        let timed = Timed::measure(&session, Share::of(1), begin.elapsed()).await?;
        anyhow::Ok((session, timed))
    };
    match opened.await {
        Ok((session, timed)) => {
            let mut checks = vec![timed.check("channel local")];
            checks.extend(beyond(session.hello()));
            if session.hello().upstream.reachable {
                checks.extend(storage::examine(&session).await);
            }
            checks
        }
        Err(error) => vec![Check::because("channel local", &error)],
    }
}

/// Says what a surrogate says of itself and of its registry.
fn beyond(hello: &Hello) -> [Check; 2] {
    let (oldest, newest) = hello.versions;
    let detail = format!("{}, speaks versions {oldest} to {newest}", hello.build);
    let version = Some(hello.build.clone());
    let surrogate = Check::ok("surrogate", detail).figures(Figures { version, ..Figures::default() });
    [surrogate, registry(hello)]
}

/// Says what is known of the registry itself.
pub(super) fn registry(hello: &Hello) -> Check {
    let upstream = &hello.upstream;
    let kind = upstream.kind.as_deref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    let host = format!("{}{kind}", upstream.host);
    if upstream.reachable {
        Check::ok(REGISTRY, host)
    } else {
        let problem = upstream.problem.as_deref().unwrap_or("it does not answer");
        Check::failed(Kind::Unreachable, REGISTRY, format!("{host}: {problem}"))
            .hint(format!("reposure registry describe {}", hello.registry))
    }
}
