//! Conditions from observed states.

use reposure_admin::{Manager, Observed, ServiceState, Settings, Verb, plan};
use reposure_api::Registry;
use serde_json::{Value, json};

use super::*;

/// The beginning of 1970, as good as any time.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn planned(service: ServiceState) -> SurrogatePlan {
    planned_with(service, &json!({"type": "oci", "indirect": {"service": "simple", "port": 5000}}))
}

/// Returns the plan of a registry that is dialled by TLS, with credentials.
fn secured() -> SurrogatePlan {
    let spec = json!({"type": "oci", "indirect": {"service": "simple", "port": 5000}, "scheme": "https",
        "authorizationSecret": "credentials"});
    planned_with(ServiceState::Unknown, &spec)
}

fn planned_with(service: ServiceState, spec: &Value) -> SurrogatePlan {
    let registry: Registry = serde_json::from_value(json!({
        "apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
        "metadata": {"name": "default", "namespace": "team"}, "spec": spec,
    }))
    .unwrap();
    plan::surrogate(&registry, &Observed { service }, &Settings::new("image", Manager::Operator)).unwrap()
}

/// Returns the pod of `plan` with `status`.
fn pod(plan: &SurrogatePlan, status: &Value) -> Pod {
    let set = plan.plan.objects().map(|object| serde_json::to_value(object).unwrap()).last().unwrap();
    let mut pod = set["spec"]["template"].clone();
    pod["status"] = status.clone();
    serde_json::from_value(pod).unwrap()
}

fn ready_pod(plan: &SurrogatePlan) -> Pod {
    pod(plan, &json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}))
}

fn status(registry: Seen, keys: Seen) -> Status {
    let status =
        json!({"build": "", "podUid": "", "registry": {"reason": registry}, "keys": {"reason": keys}});
    serde_json::from_value(status).unwrap()
}

/// Returns state and reason of each condition.
fn short(facts: &Facts<'_>) -> [(State, Reason); 5] {
    conditions(facts).map(|condition| (condition.state, condition.reason))
}

fn of(
    plan: &SurrogatePlan,
    pod: Option<&Pod>,
    answer: Option<&Result<Status, ProbeError>>,
) -> [(State, Reason); 5] {
    short(&Facts { plan, failure: None, pod, cause: None, answer, renewal: None, now: NOW })
}

#[test]
fn all_is_well() {
    let plan = planned(ServiceState::Unknown);
    let expected = [
        (State::True, Reason::Ready),
        (State::True, Reason::SurrogateRunning),
        (State::True, Reason::Reachable),
        (State::True, Reason::Anonymous),
        (State::True, Reason::PlainHttp),
    ];
    for keys in [Seen::Ok, Seen::Pending] {
        assert_eq!(of(&plan, Some(&ready_pod(&plan)), Some(&Ok(status(Seen::Ok, keys)))), expected);
    }
}

#[test]
fn a_surrogate_that_does_not_start_is_the_reason() {
    let plan = planned(ServiceState::Unknown);
    let missing = of(&plan, None, None);
    assert_eq!(missing[0], (State::False, Reason::SurrogateMissing));
    assert_eq!(missing[2], (State::Unknown, Reason::SurrogateMissing));
    let waiting = json!({"name": "surrogate", "ready": false, "restartCount": 0, "image": "", "imageID": "",
        "state": {"waiting": {"reason": "ImagePullBackOff"}}});
    let pod = pod(&plan, &json!({"phase": "Pending", "containerStatuses": [waiting]}));
    assert_eq!(of(&plan, Some(&pod), None)[0], (State::False, Reason::ImagePullBackOff));
}

#[test]
fn a_pod_of_an_older_specification_does_not_count() {
    let plan = planned(ServiceState::Unknown);
    let mut old = ready_pod(&plan);
    old.metadata.annotations = None;
    assert_eq!(of(&plan, Some(&old), None)[0], (State::False, Reason::SurrogateStarting));
}

#[test]
fn what_the_surrogate_says_of_the_registry_is_the_reason() {
    let plan = planned(ServiceState::Unknown);
    let pod = ready_pod(&plan);
    let cases = [
        (Seen::CertificateUntrusted, State::False, Reason::CertificateUntrusted),
        (Seen::Pending, State::Unknown, Reason::Pending),
        (Seen::Failed, State::False, Reason::Failed),
    ];
    for (seen, state, reason) in cases {
        let found = of(&plan, Some(&pod), Some(&Ok(status(seen, Seen::Ok))));
        assert_eq!(found[2], (state, reason));
        assert_eq!(found[0], (State::False, reason));
        assert_eq!(found[1].0, State::True);
    }
}

#[test]
fn a_surrogate_without_keys_is_not_ready() {
    let plan = planned(ServiceState::Unknown);
    let found = of(&plan, Some(&ready_pod(&plan)), Some(&Ok(status(Seen::Ok, Seen::Timeout))));
    assert_eq!(found[0], (State::False, Reason::KeysUnavailable));
    assert_eq!(found[2].0, State::True);
}

#[test]
fn a_silent_surrogate_leaves_the_registry_unknown() {
    let plan = planned(ServiceState::Unknown);
    let silence = Err(ProbeError::NoAddress);
    let found = of(&plan, Some(&ready_pod(&plan)), Some(&silence));
    assert_eq!(found[2], (State::Unknown, Reason::StatusUnavailable));
    assert_eq!(found[0], (State::False, Reason::StatusUnavailable));
}

#[test]
fn a_missing_service_is_named_before_what_follows_from_it() {
    let plan = planned(ServiceState::Missing);
    let found = of(&plan, Some(&ready_pod(&plan)), Some(&Ok(status(Seen::NameUnknown, Seen::Ok))));
    assert_eq!(found[0], (State::False, Reason::ServiceNotFound));
}

#[test]
fn a_missing_right_is_named() {
    let plan = planned(ServiceState::Unknown);
    let object = plan.plan.steps[0].object().name();
    let refused =
        kube::core::Status { code: 403, message: "forbidden".into(), ..kube::core::Status::default() };
    let error = AdminError::new(Verb::Patch, &object, kube::Error::Api(Box::new(refused)));
    let found = conditions(&Facts {
        plan: &plan,
        failure: Some(&error),
        pod: None,
        cause: None,
        answer: None,
        renewal: None,
        now: NOW,
    });
    assert_eq!((found[0].state, found[0].reason), (State::False, Reason::Denied));
    insta::assert_snapshot!(found[0].message, @"not allowed to patch ConfigMap team/reposure-surrogate-default: forbidden; a Role in namespace team must allow create and patch on configmaps");
}

#[test]
fn an_invalid_specification_says_so() {
    let [ready, surrogate, ..] = invalid(&SpecError::NoTarget);
    assert_eq!((ready.state, ready.reason), (State::False, Reason::InvalidSpec));
    assert_eq!(surrogate.state, State::Unknown);
}

/// Returns what a surrogate says whose registry shows a certificate that is good until so many days after [`NOW`], of 60.
#[expect(clippy::unnecessary_wraps, reason = "it is what a probe gives")]
fn shown(registry: Seen, days: i64) -> Result<Status, ProbeError> {
    let day = |day: i64| Timestamp::from_second(day * 24 * 3600).unwrap().to_string();
    let certificate = json!({"notBefore": day(days - 60), "notAfter": day(days)});
    let mut status = status(registry, Seen::Ok);
    status.certificate = serde_json::from_value(certificate).unwrap();
    Ok(status)
}

#[test]
fn a_certificate_is_good_until_it_is_not() {
    let plan = secured();
    let cases = [
        (Seen::Ok, 30, State::True, Reason::CertificateTrusted),
        (Seen::Ok, 9, State::True, Reason::CertificateExpiresSoon),
        (Seen::CertificateUntrusted, 30, State::False, Reason::CertificateUntrusted),
        (Seen::CertificateUntrusted, -1, State::False, Reason::CertificateExpired),
        (Seen::CertificateUntrusted, 61, State::False, Reason::CertificateExpired),
    ];
    for (seen, days, state, reason) in cases {
        let found = of(&plan, Some(&ready_pod(&plan)), Some(&shown(seen, days)));
        assert_eq!(found[4], (state, reason), "{seen:?}, {days} days");
        let ready = if state == State::True { Reason::Ready } else { reason };
        assert_eq!(found[0], (state, ready), "{seen:?}, {days} days");
    }
    let silent = of(&plan, Some(&ready_pod(&plan)), Some(&Ok(status(Seen::Ok, Seen::Ok))));
    assert_eq!(silent[4], (State::True, Reason::CertificateTrusted), "a surrogate of an earlier version");
    let away = of(&plan, Some(&ready_pod(&plan)), Some(&Ok(status(Seen::Timeout, Seen::Ok))));
    assert_eq!(away[4], (State::Unknown, Reason::Timeout));
}

#[test]
fn a_registry_that_refuses_the_credentials_is_reached_all_the_same() {
    let plan = secured();
    let pod = ready_pod(&plan);
    let refused = of(&plan, Some(&pod), Some(&shown(Seen::Unauthorized, 30)));
    assert_eq!(refused[0], (State::False, Reason::Unauthorized));
    assert_eq!(refused[2], (State::True, Reason::Reachable));
    assert_eq!(refused[3], (State::False, Reason::Unauthorized));
    let missing = of(&plan, Some(&pod), Some(&Ok(status(Seen::CredentialsInvalid, Seen::Ok))));
    assert_eq!(missing[0], (State::False, Reason::CredentialsInvalid));
    assert_eq!(missing[3], (State::False, Reason::CredentialsInvalid));
    let taken = of(&plan, Some(&pod), Some(&shown(Seen::Ok, 30)));
    assert_eq!(taken[3], (State::True, Reason::CredentialsAccepted));
}

#[test]
fn what_keeps_a_pod_from_being_is_named() {
    let plan = planned(ServiceState::Unknown);
    let cause = Some((Reason::QuotaExceeded, "exceeded quota: small".into()));
    let found = conditions(&Facts {
        plan: &plan,
        failure: None,
        pod: None,
        cause,
        answer: None,
        renewal: None,
        now: NOW,
    });
    assert_eq!((found[0].reason, found[1].reason), (Reason::QuotaExceeded, Reason::QuotaExceeded));
    assert_eq!(found[0].message, "exceeded quota: small");
}

#[test]
fn who_renews_a_certificate_is_said() {
    let plan = secured();
    let pod = ready_pod(&plan);
    let answer = shown(Seen::Ok, 9);
    let message = |renewal| {
        let facts = Facts {
            plan: &plan,
            failure: None,
            pod: Some(&pod),
            cause: None,
            answer: Some(&answer),
            renewal,
            now: NOW,
        };
        conditions(&facts)[4].message.clone()
    };
    insta::assert_snapshot!(message(None), @"the certificate is good from 1969-11-11T00:00:00Z until 1970-01-10T00:00:00Z");
    insta::assert_snapshot!(message(Some(Renewal::Operator)), @"the certificate is good from 1969-11-11T00:00:00Z until 1970-01-10T00:00:00Z; the operator renews it");
    insta::assert_snapshot!(message(Some(Renewal::Denied)), @"the certificate is good from 1969-11-11T00:00:00Z until 1970-01-10T00:00:00Z; the operator may not renew it: unless cert-manager or somebody else does, run `reposure simple install --authentication` again, which does, and lets the operator");
    insta::assert_snapshot!(message(Some(Renewal::Others)), @"the certificate is good from 1969-11-11T00:00:00Z until 1970-01-10T00:00:00Z; whoever made it renews it");
}
