//! The channel `direct`, and the registry at its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use reposure_client::session::Session;
use reposure_oci::registry::Client;
use reposure_parcel::wire::Right;

use super::{
    check::{Check, milliseconds},
    figures::{self, Figures},
    timed::TRIPS,
    way,
};
use crate::{
    connect::{self, Sought},
    context::{Cluster, Context},
    exit::{Kind, LOG_IN},
};

const TITLE: &str = "channel direct";

/// Looks at a registry without a surrogate. What its operator says of it has no meaning then, and other rights are not needed.
pub(super) async fn examine(context: &Context, cluster: &Cluster, sought: &Sought, checks: &mut Vec<Check>) {
    let before = std::mem::take(checks);
    checks.extend(before.into_iter().map(Check::at_most_warning));
    let begin = Instant::now();
    let opened = async {
        let session = connect::direct::open(context, cluster, sought, Right::Pull).await?;
        timed(Arc::new(session), begin.elapsed()).await
    };
    match opened.await {
        Ok(found) => checks.extend(found),
        Err(error) => checks.push(Check::because(TITLE, &error)),
    }
}

/// Times round trips to the registry, if it takes the credentials.
async fn timed(session: Arc<Session>, first: Duration) -> Result<[Check; 2]> {
    let upstream = &session.hello().upstream;
    if !upstream.reachable {
        let problem = upstream.problem.clone().unwrap_or_default();
        let registry = Check::failed(Kind::Denied, way::REGISTRY, format!("{}: {problem}", upstream.host));
        return Ok([channel(first, None), registry.hint(LOG_IN)]);
    }
    let (client, mut trips) = (Client::new(session.clone()), Vec::new());
    for _ in 0..TRIPS {
        let begin = Instant::now();
        client.ping().await.context("the registry answered once, and not after it")?;
        trips.push(begin.elapsed());
    }
    Ok([channel(first, trips.into_iter().min()), way::registry(session.hello())])
}

/// Says how long the first answer took, and the shortest round trip.
fn channel(first: Duration, shortest: Option<Duration>) -> Check {
    let trip = shortest.map(|shortest| format!(", round trip {}", milliseconds(shortest)));
    let detail = format!("first answer after {}{}", milliseconds(first), trip.unwrap_or_default());
    Check::ok(TITLE, detail).figures(Figures {
        first_answer_ms: Some(figures::milliseconds(first)),
        round_trip_ms: shortest.map(figures::milliseconds),
        ..Figures::default()
    })
}

/// Says that a registry could be reached without a surrogate, if so.
pub(super) async fn glance(cluster: &Cluster, sought: &Sought) -> Option<Check> {
    let seen = connect::direct::glance(cluster, sought).await?;
    let took = milliseconds(seen.took);
    let check =
        Check::ok(TITLE, format!("{} answers here too, after {took}; --channel direct takes it", seen.host));
    let first_answer_ms = Some(figures::milliseconds(seen.took));
    Some(check.figures(Figures { first_answer_ms, ..Figures::default() }))
}
