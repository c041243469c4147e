//! The channels, the surrogate, and the registry behind it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::Request;
use reposure_client::session::{Session, SessionError};
use reposure_parcel::{
    hello::Hello,
    wire::{self, Right},
};

use super::{
    check::{Check, milliseconds},
    direct,
    speed::{self, Share},
    storage,
};
use crate::{
    connect::{self, LadderError, Sought, Way},
    context::{Cluster, Context},
    exit::Kind,
};

/// How many round trips are timed; the shortest is shown.
pub(super) const TRIPS: usize = 5;
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
            Ok((said, detail)) => {
                hello.get_or_insert(said);
                Check::ok(name, detail)
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
        let detail = timed(&session, share, begin.elapsed()).await?;
        hello.get_or_insert_with(|| session.hello().clone());
        anyhow::Ok(detail)
    };
    let title = "channel kubectl";
    Some(opened.await.map_or_else(|error| Check::because(title, &error), |detail| Check::ok(title, detail)))
}

async fn open(
    cluster: &Cluster,
    sought: &Sought,
    way: Way,
    right: Right,
    share: Share,
) -> Result<(Hello, String)> {
    let begin = Instant::now();
    let pod = sought.pod();
    let destination = connect::destination(cluster, sought, &pod, right);
    let session = destination.open(way).await.map_err(LadderError::into_error)?;
    let detail = timed(&session, share, begin.elapsed()).await?;
    connect::check(cluster, sought, &pod, &session).await?;
    Ok((session.hello().clone(), detail))
}

/// Looks at a surrogate on this machine.
pub(super) async fn local(context: &Context, name: &str) -> Vec<Check> {
    let begin = Instant::now();
    let opened = async {
        let session = connect::session(context, name, Right::Pull).await?;
        let detail = timed(&session, Share::of(1), begin.elapsed()).await?;
        anyhow::Ok((session, detail))
    };
    match opened.await {
        Ok((session, detail)) => {
            let mut checks = vec![Check::ok("channel local", detail)];
            checks.extend(beyond(session.hello()));
            if session.hello().upstream.reachable {
                checks.extend(storage::examine(&session).await);
            }
            checks
        }
        Err(error) => vec![Check::because("channel local", &error)],
    }
}

/// Times round trips to the surrogate itself.
async fn timed(session: &Session, share: Share, first: Duration) -> Result<String> {
    let mut shortest = Duration::MAX;
    for _ in 0..TRIPS {
        let begin = Instant::now();
        trip(session).await.context("the surrogate said hello, and nothing after it")?;
        shortest = shortest.min(begin.elapsed());
    }
    let speed = speed::measure(session, share).await;
    Ok(format!("hello after {}, round trip {}{speed}", milliseconds(first), milliseconds(shortest)))
}

async fn trip(session: &Session) -> Result<(), SessionError> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = http::Uri::from_static(wire::HELLO);
    session.send(request).await.map(drop)
}

/// Says what a surrogate says of itself and of its registry.
fn beyond(hello: &Hello) -> [Check; 2] {
    let (oldest, newest) = hello.versions;
    let detail = format!("{}, speaks versions {oldest} to {newest}", hello.build);
    [Check::ok("surrogate", detail), registry(hello)]
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
