//! Why Kubernetes does not create a surrogate's pod. A StatefulSet's status is silent about it: it stands in an event alone.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::Event,
    jiff::{SignedDuration, Timestamp},
};
use kube::{Api, Client, api::ListParams};
use reposure_api::Reason;
use tokio::time::timeout;

/// How old an event may be: the controller of a `StatefulSet` tries again after at most 1000 s.
const FRESH: SignedDuration = SignedDuration::from_secs(1000);
/// How many events are read: the same refusal again is the same event.
const MOST: u32 = 20;
/// How long the API server may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Returns why the pod of the StatefulSet `name` is refused, as far as that was said lately. Cancel safe.
pub(crate) async fn refusal(
    client: &Client,
    namespace: &str,
    name: &str,
    now: Timestamp,
) -> Option<(Reason, String)> {
    let fields = format!("involvedObject.kind=StatefulSet,involvedObject.name={name},reason=FailedCreate");
    let api = Api::<Event>::namespaced(client.clone(), namespace);
    let listed = timeout(LIMIT, api.list(&ListParams::default().fields(&fields).limit(MOST))).await;
    let events = match listed {
        Ok(Ok(events)) => events.items,
        Ok(Err(error)) => {
            tracing::debug!("events cannot be read: {error}");
            return None;
        }
        Err(_elapsed) => return None,
    };
    newest(&events, now).map(classify)
}

fn newest(events: &[Event], now: Timestamp) -> Option<&str> {
    let event = events.iter().max_by_key(|event| time(event))?;
    let fresh = time(event).is_some_and(|time| now.duration_since(time) < FRESH);
    event.message.as_deref().filter(|_| fresh)
}

fn time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    series.map(|time| time.0).or(last).or(first).or(event
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0))
}

fn classify(message: &str) -> (Reason, String) {
    // What the controller puts before it names only what is known anyway.
    let why = message.split_once("failed error: ").map_or(message, |(_, why)| why);
    let quota = ["exceeded quota: ", "failed quota: "].iter().any(|words| why.contains(words));
    let admission =
        ["is forbidden", "admission webhook", "violates PodSecurity", "ValidatingAdmissionPolicy"];
    let reason = match why {
        _ if quota => Reason::QuotaExceeded,
        why if admission.iter().any(|words| why.contains(words)) => Reason::AdmissionRefused,
        _ => Reason::SurrogateMissing,
    };
    (reason, format!("its pod is not created: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_refusal_is_classified_and_named() {
        let head = "create Pod s-0 in StatefulSet s failed error: ";
        let cases = [
            (
                r#"pods "s-0" is forbidden: exceeded quota: small, requested: limits.memory=160Mi"#,
                Reason::QuotaExceeded,
            ),
            (r#"pods "s-0" is forbidden: failed quota: q: must specify limits.cpu"#, Reason::QuotaExceeded),
            (
                r#"pods "s-0" is forbidden: maximum cpu usage per Container is 1, but limit is 2"#,
                Reason::AdmissionRefused,
            ),
            (
                r#"pods "s-0" is forbidden: violates PodSecurity "restricted:latest""#,
                Reason::AdmissionRefused,
            ),
            (r#"admission webhook "policy.example.com" denied the request: no"#, Reason::AdmissionRefused),
            ("Internal error occurred", Reason::SurrogateMissing),
        ];
        for (why, reason) in cases {
            let (found, message) = classify(&format!("{head}{why}"));
            assert_eq!((found, message), (reason, format!("its pod is not created: {why}")));
        }
    }

    #[test]
    fn the_newest_counts_unless_it_is_old() {
        let event = |time: &str, message: &str| -> Event {
            let value =
                json!({"metadata": {}, "involvedObject": {}, "lastTimestamp": time, "message": message});
            serde_json::from_value(value).unwrap()
        };
        let events = [event("2026-01-01T00:00:00Z", "old"), event("2026-01-01T00:10:00Z", "new")];
        let at = |time: &str| time.parse().unwrap();
        assert_eq!(newest(&events, at("2026-01-01T00:11:00Z")), Some("new"));
        assert_eq!(newest(&events, at("2026-01-01T01:00:00Z")), None);
        assert_eq!(newest(&[], at("2026-01-01T01:00:00Z")), None);
    }
}
