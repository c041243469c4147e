//! Events about registries.

use kube::{
    Resource as _,
    runtime::events::{Event, EventType},
};
use reposure_admin::{Applied, Change};
use reposure_api::{ConditionType, Reason, Registry, RegistryStatus, conditions};

use crate::context::Context;

/// The longest note of an event, in bytes: the API takes 1 KiB.
const LONGEST_NOTE: usize = 1000;

/// Publishes the change of readiness from the status of `registry` to `status`, if there is one.
///
/// An event that is refused is logged: it is no reason to fail.
pub(crate) async fn readiness(context: &Context, registry: &Registry, status: &RegistryStatus) {
    if let Some(event) = readiness_event(registry.status.as_ref(), status) {
        publish(context, registry, event).await;
    }
}

/// Publishes what was made of the surrogate, if anything was.
pub(crate) async fn applied(context: &Context, registry: &Registry, applied: &[Applied]) {
    let set = applied.iter().find(|applied| applied.object.kind == "StatefulSet");
    let (reason, word) = match set.map(|set| set.change) {
        Some(Change::Created) => ("SurrogateCreated", "created"),
        Some(Change::Updated) => ("SurrogateUpdated", "updated"),
        _ => return,
    };
    let name = set.map(|set| set.object.name.as_str()).unwrap_or_default();
    publish(context, registry, event(EventType::Normal, reason, &format!("{word} StatefulSet {name}"))).await;
}

fn readiness_event(before: Option<&RegistryStatus>, after: &RegistryStatus) -> Option<Event> {
    let key = |status: &RegistryStatus| {
        let ready = conditions::find(&status.conditions, ConditionType::Ready)?;
        Some((ready.status.clone(), ready.reason.clone()))
    };
    let ready = conditions::find(&after.conditions, ConditionType::Ready)?;
    if before.and_then(key) == key(after) {
        return None;
    }
    let type_ = if ready.status == "True" || is_passing(&ready.reason) {
        EventType::Normal
    } else {
        EventType::Warning
    };
    Some(event(type_, &ready.reason, &ready.message))
}

/// Says whether a reason is a state on the way to readiness, and no failure.
fn is_passing(reason: &str) -> bool {
    let passing =
        [Reason::SurrogateMissing, Reason::SurrogateStarting, Reason::SurrogateTerminating, Reason::Pending];
    passing.iter().any(|passing| passing.as_str() == reason)
}

fn event(type_: EventType, reason: &str, note: &str) -> Event {
    let mut end = note.len().min(LONGEST_NOTE);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    Event {
        type_,
        reason: reason.into(),
        note: Some(note[..end].into()),
        action: "Reconcile".into(),
        secondary: None,
    }
}

pub(crate) async fn publish(context: &Context, registry: &Registry, event: Event) {
    if let Err(error) = context.recorder.publish(&event, &registry.object_ref(&())).await {
        tracing::warn!(registry = registry.metadata.name, "an event was refused: {error}");
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use reposure_api::{NewCondition, State};

    use super::*;

    fn status(state: State, reason: Reason) -> RegistryStatus {
        let mut status = RegistryStatus::default();
        let condition = NewCondition::new(ConditionType::Ready, state, reason, "note");
        conditions::set(&mut status.conditions, &condition, None, Timestamp::UNIX_EPOCH);
        status
    }

    #[test]
    fn only_a_change_is_an_event() {
        let ready = status(State::True, Reason::Ready);
        assert_eq!(readiness_event(None, &ready).unwrap().reason, "Ready");
        assert!(readiness_event(Some(&ready), &ready).is_none());
        let refused = status(State::False, Reason::Unauthorized);
        let event = readiness_event(Some(&ready), &refused).unwrap();
        assert_eq!((event.reason.as_str(), event.type_), ("Unauthorized", EventType::Warning));
        let starting = status(State::False, Reason::SurrogateStarting);
        assert_eq!(readiness_event(None, &starting).unwrap().type_, EventType::Normal);
    }
}
