//! What is said of a registry.

use reposure_admin::Provider;
use serde_json::json;

use super::*;

fn described(registry: &Registry, events: &[Event]) -> String {
    let line = |subject: &str, level, allowed| access::Line {
        subject: subject.into(),
        level,
        via: Some(format!("rolebinding/reposure:a:{level}")),
        allowed,
        channels: vec!["proxy".into()],
    };
    let lines = vec![line("User ann", "push", Some(true)), line("Group devs", "pull", None)];
    let surrogate = Surrogate { node: Some("node1".into()), restarts: 2, ..Surrogate::default() };
    text(registry, &surrogate, &Ok(Seen { lines, hidden: None }), events)
}

#[test]
fn a_surrogate_of_another_version_is_to_be_made_again() {
    let own = env!("CARGO_PKG_VERSION");
    for same in [own.to_owned(), format!("{own} (0123abc)"), format!("{own}+dirty")] {
        assert_eq!(version(Some(&same), true), same);
    }
    let said = |is_standalone| version(Some("0.1.0"), is_standalone);
    assert_eq!(said(true), format!("0.1.0; create it again with reposure {own} to replace it"));
    assert_eq!(said(false), format!("0.1.0; reposure operator upgrade makes it {own}"));
    assert!(version(None, false).contains("does not answer"));
}

#[test]
fn says_where_certificate_and_credentials_are() {
    let said = |spec: RegistrySpec| {
        let text = described(&Registry::new("a", spec), &[]);
        let shown = text.lines().filter(|line| line.starts_with("Ce") || line.starts_with("Cr"));
        shown.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(said(RegistrySpec::default()), @r"
    Certificate:  none
    Credentials:  none
    ");
    let secrets = RegistrySpec {
        authentication_secret: Some("ca".into()),
        authorization_secret: Some("login".into()),
        ..RegistrySpec::default()
    };
    insta::assert_snapshot!(said(secrets), @r"
    Certificate:  Secret ca, key tls.crt
    Credentials:  Secret login
    ");
    insta::assert_snapshot!(said(Provider::OpenShift.spec().unwrap()), @r"
    Certificate:  ConfigMap openshift-service-ca.crt, key service-ca.crt
    Credentials:  the surrogate's own token
    ");
}

#[test]
fn a_registry_adds_no_line_of_its_own() {
    let mut registry = Registry::default();
    registry.spec.authorization_secret = Some("login\nConditions:   none".into());
    let text = described(&registry, &[]);
    assert_eq!(text.matches("\nConditions:").count(), 1, "{text}");
}

#[test]
fn a_certificate_ends_in_days() {
    let now = "2028-02-28T12:00:00Z".parse().unwrap();
    for (end, expected) in [
        ("2028-03-01T13:00:00Z", "2028-03-01T13:00:00Z, in 2 days"),
        ("2028-02-28T13:00:00Z", "2028-02-28T13:00:00Z, in 0 days"),
        ("2028-02-28T11:00:00Z", "2028-02-28T11:00:00Z, 1 days ago"),
        ("soon", "soon"),
    ] {
        assert_eq!(expiry(end, now), expected);
    }
}

#[test]
fn shows_surrogate_access_conditions_and_events() {
    let registry: Registry = serde_json::from_value(json!({
        "apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry", "metadata": {"name": "a", "namespace": "team"},
        "spec": {"type": "oci", "direct": {"host": "host:5000"}},
        "status": {"host": "host:5000", "surrogatePod": "reposure-surrogate-a-0", "conditions": [{"type": "Ready", "status": "True",
            "reason": "Ready", "message": "host:5000 answers", "lastTransitionTime": "2028-02-28T12:00:00Z"}]},
    }))
    .unwrap();
    let event: Event = serde_json::from_value(
        json!({"metadata": {}, "involvedObject": {}, "type": "Normal", "reason": "Ready",
        "message": "it can be used", "eventTime": "2028-02-28T12:00:00.000000Z"}),
    )
    .unwrap();
    insta::assert_snapshot!(described(&registry, &[event]), @r"
    Name:         a
    Namespace:    team
    Kept by:      an operator
    Host:         host:5000
    Registry:     host:5000
    Certificate:  none
    Credentials:  none
    Surrogate:    reposure-surrogate-a-0
    Node:         node1
    Restarts:     2
    Image:        not known
    Version:      not known: it does not answer
    Accounts:     reposure-surrogate-a-pull, reposure-surrogate-a-push, reposure-surrogate-a-admin
    Access:
      SUBJECT      LEVEL   ALLOWED   VIA                           CHANNELS
      User ann     push    yes       rolebinding/reposure:a:push   proxy
      Group devs   pull    unknown   rolebinding/reposure:a:pull   proxy
    Conditions:
      TYPE    STATUS   SINCE                  REASON   MESSAGE
      Ready   True     2028-02-28T12:00:00Z   Ready    host:5000 answers
    Events:
      TYPE     LAST SEEN              REASON   MESSAGE
      Normal   2028-02-28T12:00:00Z   Ready    it can be used
    ");
}

#[test]
fn says_why_access_is_not_known() {
    let failed = AccessError::Review(crate::connect::review::ReviewError::Silent);
    let text = text(&Registry::default(), &Surrogate::default(), &Err(failed), &[]);
    assert!(text.contains("Access:       not known: the API server did not say within 10 s"), "{text}");
}

#[test]
fn an_event_was_seen_when_its_series_was() {
    let at = |text: &str| -> Option<Timestamp> { Some(text.parse().unwrap()) };
    let event = |value| last_seen(&serde_json::from_value(value).unwrap());
    let series = json!({"lastObservedTime": "2028-01-03T00:00:00.000000Z", "count": 2});
    let early = "2028-01-01T00:00:00Z";
    for (value, expected) in [
        (json!({"metadata": {}, "involvedObject": {}}), None),
        (json!({"metadata": {}, "involvedObject": {}, "lastTimestamp": early}), at(early)),
        (
            json!({"metadata": {}, "involvedObject": {}, "eventTime": "2028-01-01T00:00:00.000000Z", "series": series}),
            at("2028-01-03T00:00:00Z"),
        ),
    ] {
        assert_eq!(event(value.clone()), expected, "{value}");
    }
}
