//! Renews the certificates of built-in registries, where somebody has let the operator do so: whoever installs such a registry gives it the
//! right to two Secrets by their names, and to no others.
//!
//! It looks when a registry is seen to that is behind the Service of a built-in one, at most once an hour for each namespace, and when
//! there is something to be done. Where there is nothing of ours, or it may not look, it looks again after a minute, then after two, and
//! so on up to an hour.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::runtime::events::{Event, EventType};
use reposure_admin::{
    AdminError,
    certificates::{self, Kept},
    plan::Certificates,
};
use reposure_api::{Registry, Target, names};

use crate::{context::Context, events, report};

/// The longest pause between two looks at the certificates of a namespace.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// The shortest.
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
/// How long one look may take: six requests at most.
const LIMIT: Duration = Duration::from_secs(20);

/// Who renews the certificate of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// This operator.
    Operator,
    /// Nobody has let it.
    Denied,
    /// Nobody: the authority is missing.
    Nobody,
    /// It could not, just now.
    Failed,
    /// Whoever made it.
    Others,
}

/// What is known of the certificates of built-in registries, by namespace. Losing it costs requests, nothing else.
#[derive(Default)]
pub(crate) struct Renewals(Mutex<HashMap<String, Known>>);

#[derive(Clone, Copy, Default)]
struct Known {
    renewal: Option<Renewal>,
    /// When to look again.
    look: Timestamp,
    /// How many looks in a row came to nothing.
    vain: u32,
}

impl Renewals {
    /// Takes the next look at `namespace` if it is due; else says what the last one found.
    fn take(&self, namespace: &str, now: Timestamp) -> Result<(), Option<Renewal>> {
        let mut known = self.lock();
        let known = known.entry(namespace.into()).or_default();
        if now < known.look {
            return Err(known.renewal);
        }
        // Other registries of the namespace leave it to this one.
        known.look = later(now, SHORTEST_PAUSE);
        Ok(())
    }

    /// Remembers what a look has found, and when something is to be done `next`, if that is known.
    fn found(&self, namespace: &str, renewal: Renewal, next: Option<Timestamp>, now: Timestamp) {
        let mut known = self.lock();
        let known = known.entry(namespace.into()).or_default();
        known.renewal = Some(renewal);
        known.vain = if next.is_some() { 0 } else { known.vain.saturating_add(1) };
        let pause = SHORTEST_PAUSE.saturating_mul(1 << known.vain.saturating_sub(1).min(6));
        let latest = later(now, LONGEST_PAUSE);
        known.look = next.unwrap_or(later(now, pause)).clamp(later(now, SHORTEST_PAUSE), latest);
    }

    /// Forgets every namespace that `exists` does not know.
    fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.lock().retain(|namespace, _| exists(namespace));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(now: Timestamp, pause: SignedDuration) -> Timestamp {
    now.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

/// Renews the certificate of `registry` if it is a built-in one's, ours, and time. Says who renews it; none if it is no built-in one's. Cancel
/// safe.
pub(crate) async fn see_to(context: &Context, registry: &Registry, now: Timestamp) -> Option<Renewal> {
    let own = registry.metadata.namespace.as_deref().unwrap_or_default();
    let Ok(Target::Service { namespace, name, .. }) = registry.spec.target(own) else { return None };
    if name != names::SIMPLE {
        return None;
    }
    if let Err(renewal) = context.renewals.take(&namespace, now) {
        return renewal;
    }
    let registries = &context.stores.registries;
    context
        .renewals
        .retain(|known| known == &*namespace || registries.find(|other| is_behind(other, known)).is_some());
    let kept = tokio::time::timeout(LIMIT, certificates::renew(&context.client, &namespace)).await;
    let (renewal, next) = match &kept {
        Ok(Ok(Some(kept))) => judge(kept),
        Ok(Ok(None)) => (Renewal::Nobody, None),
        Ok(Err(error)) => (refused(&namespace, error), None),
        Err(_elapsed) => (Renewal::Failed, None),
    };
    if let Ok(Ok(Some(kept))) = &kept {
        tell(context, registry, kept).await;
    }
    context.renewals.found(&namespace, renewal, next, now);
    Some(renewal)
}

fn is_behind(registry: &Registry, namespace: &str) -> bool {
    let own = registry.metadata.namespace.as_deref().unwrap_or_default();
    matches!(registry.spec.target(own), Ok(Target::Service { namespace: of, .. }) if of == namespace)
}

fn judge(kept: &Kept) -> (Renewal, Option<Timestamp>) {
    match &kept.certificates {
        Certificates::Ours(outlook) => (Renewal::Operator, Some(outlook.next)),
        // It may be made anew by us.
        Certificates::Foreign => (Renewal::Others, Some(Timestamp::MAX)),
    }
}

fn refused(namespace: &str, error: &AdminError) -> Renewal {
    let text = report::chain(error);
    if matches!(error, AdminError::Denied { .. }) {
        tracing::debug!(namespace, "the certificate cannot be renewed: {text}");
        return Renewal::Denied;
    }
    tracing::warn!(namespace, "the certificate cannot be renewed: {text}");
    Renewal::Failed
}

/// Says what was written, if anything was.
async fn tell(context: &Context, registry: &Registry, kept: &Kept) {
    let Certificates::Ours(outlook) = &kept.certificates else { return };
    if kept.applied.is_empty() {
        return;
    }
    let written: Vec<_> = kept.applied.iter().map(|applied| applied.object.name.as_str()).collect();
    let (written, end) = (written.join(", "), outlook.end);
    let note = match outlook.replaced {
        Some(time) => {
            format!(
                "wrote Secrets {written}: from {time} on the certificate is one of another authority, which is in ca.crt now"
            )
        }
        None => format!("wrote Secrets {written}: the certificate is good until {end}"),
    };
    tracing::info!("{note}");
    let event = Event {
        type_: EventType::Normal,
        reason: "CertificateRenewed".into(),
        note: Some(note),
        action: "Renew".into(),
        secondary: None,
    };
    events::publish(context, registry, event).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    /// Returns the minutes at which it is looked, within five hours.
    fn looks(mut find: impl FnMut(i64) -> (Renewal, Option<Timestamp>)) -> Vec<i64> {
        let renewals = Renewals::default();
        let look = |minute: &i64| {
            if renewals.take("team", at(*minute)).is_err() {
                return false;
            }
            assert!(renewals.take("team", at(*minute)).is_err(), "two at once");
            let (renewal, next) = find(*minute);
            renewals.found("team", renewal, next, at(*minute));
            assert_eq!(renewals.take("team", at(*minute)), Err(Some(renewal)));
            true
        };
        (1..300).filter(look).collect()
    }

    #[test]
    fn it_looks_once_an_hour_and_when_there_is_something_to_be_done() {
        assert_eq!(looks(|_| (Renewal::Operator, Some(at(10_000)))), [1, 61, 121, 181, 241]);
        assert_eq!(looks(|_| (Renewal::Others, Some(Timestamp::MAX))), [1, 61, 121, 181, 241]);
        let due = |minute| (Renewal::Operator, Some(if minute < 100 { at(100) } else { at(10_000) }));
        assert_eq!(looks(due), [1, 61, 100, 160, 220, 280]);
    }

    #[test]
    fn what_may_not_be_seen_is_looked_for_less_and_less() {
        assert_eq!(looks(|_| (Renewal::Denied, None)), [1, 2, 4, 8, 16, 32, 64, 124, 184, 244]);
        let granted = |minute| {
            if minute < 5 { (Renewal::Denied, None) } else { (Renewal::Operator, Some(at(10_000))) }
        };
        assert_eq!(looks(granted), [1, 2, 4, 8, 68, 128, 188, 248]);
    }

    #[test]
    fn what_should_have_been_done_already_makes_no_hot_loop() {
        assert_eq!(looks(|minute| (Renewal::Operator, Some(at(minute - 1)))).len(), 299);
        let renewals = Renewals::default();
        renewals.found("team", Renewal::Operator, Some(at(0)), at(5));
        assert!(renewals.take("team", later(at(5), SignedDuration::from_secs(59))).is_err());
        assert!(renewals.take("team", at(6)).is_ok());
    }
}
