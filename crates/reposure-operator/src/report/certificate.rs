//! The condition of the registry's certificate.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use reposure_api::{ConditionType, NewCondition, Reason, State};
use reposure_parcel::status::{Certificate, Reason as Seen, Status};

use super::Facts;
use crate::renewal::Renewal;

/// What part of its time is left of a certificate that should have been renewed: whoever renews does so at two thirds.
const SOON_PART: i32 = 6;
/// When even one that lasts for years is called so.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

pub(super) fn valid(facts: &Facts<'_>, registry: &NewCondition) -> NewCondition {
    let condition = |state, reason, message: String| {
        NewCondition::new(ConditionType::CertificateValid, state, reason, message)
    };
    if !facts.plan.tls {
        let message = "the registry is dialled without TLS".into();
        return condition(State::True, Reason::PlainHttp, message);
    }
    let Some(Ok(status)) = facts.answer else {
        return condition(State::Unknown, registry.reason, "the registry was not reached".into());
    };
    let shown = status.certificate.as_ref();
    match (status.registry.reason, shown.and_then(Times::of)) {
        (seen, Some(times)) if times.over(facts.now) => {
            condition(State::False, Reason::CertificateExpired, times.describe(seen, facts.renewal))
        }
        (seen @ Seen::CertificateUntrusted, Some(times)) => {
            condition(State::False, Reason::CertificateUntrusted, times.describe(seen, facts.renewal))
        }
        (Seen::CertificateUntrusted, None) => {
            condition(State::False, Reason::CertificateUntrusted, UNTRUSTED.into())
        }
        (seen, Some(times)) if times.soon(facts.now) => {
            condition(State::True, Reason::CertificateExpiresSoon, times.describe(seen, facts.renewal))
        }
        (seen, Some(times)) => {
            condition(State::True, Reason::CertificateTrusted, times.describe(seen, facts.renewal))
        }
        // A surrogate of an earlier version does not tell.
        (Seen::Ok | Seen::Unauthorized, None) => {
            condition(State::True, Reason::CertificateTrusted, "the certificate is trusted".into())
        }
        (_, None) => condition(State::Unknown, registry.reason, "no certificate was shown yet".into()),
    }
}

const UNTRUSTED: &str = "the certificate is not trusted: see spec.authenticationSecret";

/// Calls an untrusted certificate that is not in its time so.
pub(super) fn named(reason: Reason, status: &Status, now: Timestamp) -> Reason {
    let over = status.certificate.as_ref().and_then(Times::of).is_some_and(|times| times.over(now));
    if reason == Reason::CertificateUntrusted && over { Reason::CertificateExpired } else { reason }
}

#[derive(Clone, Copy)]
struct Times {
    begin: Timestamp,
    end: Timestamp,
}

impl Times {
    fn of(certificate: &Certificate) -> Option<Self> {
        Some(Self { begin: certificate.not_before.parse().ok()?, end: certificate.not_after.parse().ok()? })
    }

    fn over(self, now: Timestamp) -> bool {
        now > self.end || now < self.begin
    }

    fn soon(self, now: Timestamp) -> bool {
        let part = self.end.duration_since(self.begin) / SOON_PART;
        self.end.duration_since(now) < part.min(SOON)
    }

    fn describe(self, seen: Seen, renewal: Option<Renewal>) -> String {
        let Self { begin, end } = self;
        let renewed = renewal.map(who).unwrap_or_default();
        let times = format!("the certificate is good from {begin} until {end}{renewed}");
        if seen == Seen::CertificateUntrusted { format!("{times}; {UNTRUSTED}") } else { times }
    }
}

/// Says who renews the certificate.
const fn who(renewal: Renewal) -> &'static str {
    match renewal {
        Renewal::Operator => "; the operator renews it",
        Renewal::Failed => "; the operator could not look whether it is to be renewed: see its log",
        Renewal::Denied => {
            "; the operator may not renew it: unless cert-manager or somebody else does, run `reposure simple install --authentication` again, which does, and lets the operator"
        }
        Renewal::Nobody => "; nothing renews it: run `reposure simple install --authentication` again",
        Renewal::Others => "; whoever made it renews it",
    }
}
