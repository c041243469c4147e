//! Conditions from what was observed. No IO.

use std::error::Error;

use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use reposure_admin::{AdminError, SurrogatePlan, plan::pod};
use reposure_api::{ConditionType, NewCondition, Reason, SpecError, State};
use reposure_parcel::status::{Reason as Seen, Status};

use crate::{probe::ProbeError, renewal::Renewal};

mod certificate;

/// What was observed of a registry whose specification can be used.
pub(crate) struct Facts<'a> {
    pub(crate) plan: &'a SurrogatePlan,
    /// Why the plan could not be carried out.
    pub(crate) failure: Option<&'a AdminError>,
    pub(crate) pod: Option<&'a Pod>,
    /// Why there is no pod, or why it does not end, as far as that was found out.
    pub(crate) cause: Option<(Reason, String)>,
    /// What the surrogate says, if its pod is the one of the plan and ready.
    pub(crate) answer: Option<&'a Result<Status, ProbeError>>,
    /// Who renews the certificate of a built-in registry.
    pub(crate) renewal: Option<Renewal>,
    /// When it was observed.
    pub(crate) now: Timestamp,
}

/// Returns the conditions of a registry, `Ready` first.
pub(crate) fn conditions(facts: &Facts<'_>) -> [NewCondition; 5] {
    let surrogate = surrogate_ready(facts);
    let registry = registry_reachable(facts, &surrogate);
    let authenticated = authenticated(facts, &registry);
    let certificate = certificate::valid(facts, &registry);
    let ready = ready(facts, [&surrogate, &registry, &authenticated, &certificate]);
    [ready, surrogate, registry, authenticated, certificate]
}

/// Returns the conditions of a registry whose specification cannot be used.
pub(crate) fn invalid(error: &SpecError) -> [NewCondition; 5] {
    ConditionType::ALL.map(|type_| {
        let state = if type_ == ConditionType::Ready { State::False } else { State::Unknown };
        NewCondition::new(type_, state, Reason::InvalidSpec, error.to_string())
    })
}

fn ready(facts: &Facts<'_>, parts: [&NewCondition; 4]) -> NewCondition {
    let condition =
        |state, reason, message: &str| NewCondition::new(ConditionType::Ready, state, reason, message);
    if let Some(error) = facts.failure {
        let (reason, message) = failure(error);
        return condition(State::False, reason, &message);
    }
    match parts.into_iter().find(|part| part.state != State::True) {
        None => condition(State::True, Reason::Ready, "images can be pushed and pulled"),
        // What is but unknown is not ready either: who waits for readiness must not take it for a failure though.
        Some(part) => condition(State::False, part.reason, &part.message),
    }
}

fn surrogate_ready(facts: &Facts<'_>) -> NewCondition {
    let condition = |state, reason, message: String| {
        NewCondition::new(ConditionType::SurrogateReady, state, reason, message)
    };
    if let (Some(error), None) = (facts.failure, facts.pod) {
        let (reason, message) = failure(error);
        return condition(State::False, reason, message);
    }
    let Some(pod) = facts.pod.filter(|pod| pod::is_ready(pod)) else {
        let known = facts.cause.clone();
        let (reason, message) = known.unwrap_or_else(|| pod::why_not_ready(facts.pod));
        return condition(State::False, reason, message);
    };
    if !facts.plan.is_current(pod) {
        let message = "its pod is about to be replaced by one of the newest specification";
        return condition(State::False, Reason::SurrogateStarting, message.into());
    }
    match facts.answer {
        Some(Ok(status)) if !matches!(status.keys.reason, Seen::Ok | Seen::Pending) => {
            let message = "the surrogate cannot fetch the cluster's keys, so that it lets nobody in";
            condition(State::False, Reason::KeysUnavailable, message.into())
        }
        _ => condition(State::True, Reason::SurrogateRunning, "its pod is ready".into()),
    }
}

fn registry_reachable(facts: &Facts<'_>, surrogate: &NewCondition) -> NewCondition {
    let condition = |state, reason, message: String| {
        NewCondition::new(ConditionType::RegistryReachable, state, reason, message)
    };
    if let Some((reason, message)) = &facts.plan.problem {
        return condition(State::False, *reason, message.clone());
    }
    match facts.answer {
        Some(Ok(status)) => {
            let (state, reason, message) = judge(status.registry.reason);
            let reason = certificate::named(reason, status, facts.now);
            condition(state, reason, format!("{}: {message}", facts.plan.target))
        }
        Some(Err(error)) => condition(State::Unknown, Reason::StatusUnavailable, chain(error)),
        None => condition(State::Unknown, surrogate.reason, "the surrogate is not ready".into()),
    }
}

fn authenticated(facts: &Facts<'_>, registry: &NewCondition) -> NewCondition {
    let condition = |state, reason, message: &str| {
        NewCondition::new(ConditionType::Authenticated, state, reason, message)
    };
    let seen = facts.answer.and_then(|answer| answer.as_ref().ok()).map(|status| status.registry.reason);
    match seen {
        Some(Seen::Unauthorized) if facts.plan.credentials => {
            let message = "the registry refuses the credentials: see spec.authorizationSecret";
            condition(State::False, Reason::Unauthorized, message)
        }
        Some(Seen::Unauthorized) => {
            let message = "the registry asks for credentials: name them in spec.authorizationSecret";
            condition(State::False, Reason::Unauthorized, message)
        }
        Some(Seen::CredentialsInvalid) => {
            let message = "a Secret or ConfigMap that the specification names is missing or malformed";
            condition(State::False, Reason::CredentialsInvalid, message)
        }
        Some(Seen::Ok) if facts.plan.credentials => {
            condition(State::True, Reason::CredentialsAccepted, "the registry takes the credentials")
        }
        Some(Seen::Ok) => condition(State::True, Reason::Anonymous, "no credentials are named or asked for"),
        _ => condition(State::Unknown, registry.reason, "the registry was not reached"),
    }
}

fn judge(seen: Seen) -> (State, Reason, &'static str) {
    match seen {
        // That it does not take the credentials is another condition's.
        Seen::Ok | Seen::Unauthorized => (State::True, Reason::Reachable, "answers"),
        Seen::Pending => (State::Unknown, Reason::Pending, "not tried yet"),
        Seen::NameUnknown => (State::False, Reason::NameUnknown, "the name cannot be resolved"),
        Seen::ConnectionRefused => (State::False, Reason::ConnectionRefused, "refuses the connection"),
        Seen::Timeout => (State::False, Reason::Timeout, "does not answer in time"),
        Seen::CertificateUntrusted => {
            let message = "shows a certificate that is not trusted: see spec.authenticationSecret";
            (State::False, Reason::CertificateUntrusted, message)
        }
        Seen::CredentialsInvalid => {
            let message =
                "not tried: a Secret or ConfigMap that the specification names is missing or malformed";
            (State::Unknown, Reason::CredentialsInvalid, message)
        }
        Seen::NotARegistry => (State::False, Reason::NotARegistry, "answers, but not as a registry does"),
        Seen::ServerError => (State::False, Reason::ServerError, "answers with an error"),
        Seen::Failed => (State::False, Reason::Failed, "cannot be reached: see the surrogate's log"),
    }
}

fn failure(error: &AdminError) -> (Reason, String) {
    let reason = match error {
        AdminError::Denied { .. } => Reason::Denied,
        _ => Reason::ApplyFailed,
    };
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    (reason, format!("{}{hint}", chain(error)))
}

/// Returns an error and its sources on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
