//! Which of several operators sees to registries: the one that holds a Lease. The others stand by.
//!
//! As in [client-go](https://pkg.go.dev/k8s.io/client-go/tools/leaderelection), nobody's clock is compared with anybody else's: a
//! Lease may be taken when it has not changed for as long as it lasts, by the clock of the one who takes it.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{Api, api::PostParams};
use reposure_api::{labels::OPERATOR_MANAGER, names};
use tokio::time::{Instant, sleep, timeout};

/// How long a Lease lasts that is not renewed. This and the next two are those of Kubernetes' own components.
const DURATION: Duration = Duration::from_secs(15);
/// How long a Lease that could not be renewed is still relied on: less than it lasts, so that there are never two leaders.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// The pause between two looks.
const RETRY: Duration = Duration::from_secs(2);
/// How long a request may take: two fit into the deadline.
const REQUEST: Duration = Duration::from_secs(5);

/// An operator that stands for election.
pub(crate) struct Election {
    api: Api<Lease>,
    identity: String,
    /// The Lease as it was last written here; none when somebody else may have written it.
    held: Option<Lease>,
    /// When the request was sent by which it is held: it lasts from then on at least.
    since: Option<Instant>,
    /// What others wrote last, and when that was first seen.
    seen: Option<(Option<String>, Instant)>,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Held,
    /// Somebody else has it.
    Other,
    /// Somebody was quicker this time.
    Lost,
}

impl Election {
    /// Stands for the Lease of the operators in the namespace of `api`, as `identity`, which no other has at the same time.
    pub(crate) const fn new(api: Api<Lease>, identity: String) -> Self {
        Self { api, identity, held: None, since: None, seen: None }
    }

    /// Waits until the Lease is held; calls `answered` whenever the API server has answered.
    ///
    /// Cancel safe: a Lease that is taken meanwhile is taken again by the next call, or lapses.
    pub(crate) async fn win(&mut self, answered: impl Fn()) {
        loop {
            match timeout(REQUEST, self.attempt()).await {
                Ok(Ok(attempt)) => {
                    answered();
                    if attempt == Attempt::Held {
                        return;
                    }
                }
                Ok(Err(error)) => tracing::warn!("the Lease cannot be had: {}", crate::report::chain(&error)),
                Err(_elapsed) => tracing::warn!("the API server does not answer"),
            }
            sleep(RETRY).await;
        }
    }

    /// Renews the Lease until that fails for [`RENEW_DEADLINE`], or somebody else has it. Cancel safe.
    pub(crate) async fn keep(&mut self) {
        loop {
            sleep(RETRY.min(self.left())).await;
            let left = self.left();
            match timeout(REQUEST.min(left), self.attempt()).await {
                Ok(Ok(Attempt::Other)) => return,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!("the Lease is not renewed: {}", crate::report::chain(&error));
                }
                Err(_elapsed) => tracing::warn!("the Lease is not renewed: the API server does not answer"),
            }
            if self.left().is_zero() {
                return;
            }
        }
    }

    /// Gives the Lease back, so that the next one need not wait until it lapses; does nothing where it is not held.
    pub(crate) async fn release(&mut self) {
        let Some(mut lease) = self.held.take() else { return };
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        // It must be above zero.
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        let written = timeout(REQUEST, self.api.replace(names::OPERATOR, &parameters(), &lease)).await;
        if matches!(written, Ok(Ok(_))) {
            tracing::info!("the Lease is given back");
        } else {
            tracing::warn!("the Lease could not be given back, and lapses by itself");
        }
    }

    /// Returns for how long the Lease may still be relied on.
    fn left(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| {
            (since + RENEW_DEADLINE).saturating_duration_since(Instant::now())
        })
    }

    async fn attempt(&mut self) -> Result<Attempt, kube::Error> {
        if let Some(held) = self.held.take() {
            // Nobody else writes it as a rule, so that it need not be read.
            if self.write(held).await? == Attempt::Held {
                return Ok(Attempt::Held);
            }
        }
        let Some(lease) = self.api.get_opt(names::OPERATOR).await? else { return self.create().await };
        if !self.may_take(&lease, Instant::now()) {
            return Ok(Attempt::Other);
        }
        self.write(lease).await
    }

    /// Says whether the Lease is ours or nobody's, or has not changed for as long as it lasts.
    fn may_take(&mut self, lease: &Lease, now: Instant) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        let version = &lease.metadata.resource_version;
        match &self.seen {
            Some((seen, since)) if seen == version => now >= *since + lasts(lease),
            _ => {
                self.seen = Some((version.clone(), now));
                false
            }
        }
    }

    async fn write(&mut self, mut lease: Lease) -> Result<Attempt, kube::Error> {
        let asked = Instant::now();
        lease.spec = Some(renewed(lease.spec.take(), &self.identity, Timestamp::now()));
        // The version that was read goes with it: whoever writes in between wins.
        self.note(asked, self.api.replace(names::OPERATOR, &parameters(), &lease).await)
    }

    async fn create(&mut self) -> Result<Attempt, kube::Error> {
        let asked = Instant::now();
        let mut lease = Lease::default();
        lease.metadata.name = Some(names::OPERATOR.into());
        lease.spec = Some(renewed(None, &self.identity, Timestamp::now()));
        self.note(asked, self.api.create(&parameters(), &lease).await)
    }

    fn note(&mut self, asked: Instant, written: Result<Lease, kube::Error>) -> Result<Attempt, kube::Error> {
        match written {
            Ok(lease) => {
                (self.held, self.since) = (Some(lease), Some(asked));
                Ok(Attempt::Held)
            }
            // Changed or created meanwhile.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Lost),
            Err(error) => Err(error),
        }
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(OPERATOR_MANAGER.into()), ..PostParams::default() }
}

/// Returns how long a Lease of somebody else lasts.
fn lasts(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(DURATION, Duration::from_secs)
}

/// Returns what stands in a Lease that `identity` takes or renews at `now`.
fn renewed(before: Option<LeaseSpec>, identity: &str, now: Timestamp) -> LeaseSpec {
    let before = before.unwrap_or_default();
    let same = before.holder_identity.as_deref() == Some(identity);
    LeaseSpec {
        holder_identity: Some(identity.into()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: before.acquire_time.filter(|_| same).or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(before.lease_transitions.unwrap_or_default() + i32::from(!same)),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests;
