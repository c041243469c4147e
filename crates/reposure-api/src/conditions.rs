//! Conditions of a `Registry`, in types.
//!
//! See [typical status properties](https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties).

use std::fmt;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// The longest message that is kept, in bytes: the API conventions bound it at 32 KiB, a person reads less.
pub const LONGEST_MESSAGE: usize = 1024;

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// Images can be pushed and pulled: all the others hold.
    Ready,
    /// The surrogate's pod is ready.
    SurrogateReady,
    /// The surrogate reaches the registry, which answers as one.
    RegistryReachable,
    /// The registry takes the credentials, or needs none.
    Authenticated,
    /// The registry's certificate is trusted and in its time, or there is none since it is dialled without TLS.
    CertificateValid,
}

impl ConditionType {
    /// Every type, in the order in which they are kept.
    pub const ALL: [Self; 5] = [
        Self::Ready,
        Self::SurrogateReady,
        Self::RegistryReachable,
        Self::Authenticated,
        Self::CertificateValid,
    ];

    /// Returns the name that stands in the object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::SurrogateReady => "SurrogateReady",
            Self::RegistryReachable => "RegistryReachable",
            Self::Authenticated => "Authenticated",
            Self::CertificateValid => "CertificateValid",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known whether it holds.
    Unknown,
}

impl State {
    /// Returns the name that stands in the object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }
}

/// Makes an enumeration of reasons whose names in the object are those of its variants.
macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// Why a condition is as it is. The names are a contract: scripts and alerts match on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])+ $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the name that stands in the object.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// Everything works.
    Ready,
    /// The surrogate's pod is ready.
    SurrogateRunning,
    /// The registry answers.
    Reachable,
    /// The registry takes the credentials.
    CredentialsAccepted,
    /// No credentials are named, and the registry asks for none.
    Anonymous,
    /// The registry's certificate is trusted and in its time.
    CertificateTrusted,
    /// The registry's certificate is trusted, but should have been renewed by now.
    CertificateExpiresSoon,
    /// The registry is dialled without TLS, so that it shows no certificate.
    PlainHttp,
    /// The specification cannot be used.
    InvalidSpec,
    /// An object of the surrogate could not be written.
    ApplyFailed,
    /// The operator lacks a right.
    Denied,
    /// The Service does not exist.
    ServiceNotFound,
    /// The Service exists, but it has no such port.
    ServicePortNotFound,
    /// The surrogate's pod does not exist yet.
    SurrogateMissing,
    /// The surrogate's pod does not fit into the namespace's `ResourceQuota`.
    QuotaExceeded,
    /// The API server does not admit the surrogate's pod: a `LimitRange`, Pod Security or a webhook is against it.
    AdmissionRefused,
    /// The node of the surrogate's pod is lost.
    NodeLost,
    /// No node takes the surrogate's pod.
    Unschedulable,
    /// The surrogate's pod is being started.
    SurrogateStarting,
    /// The surrogate's pod is being deleted.
    SurrogateTerminating,
    /// The image of the surrogate cannot be pulled.
    ImagePullBackOff,
    /// The image of the surrogate could not be pulled just now.
    ErrImagePull,
    /// The name of the surrogate's image is malformed.
    InvalidImageName,
    /// The surrogate ends again and again.
    CrashLoopBackOff,
    /// A Secret or ConfigMap that the surrogate mounts is missing.
    CreateContainerConfigError,
    /// The container of the surrogate cannot be started.
    CreateContainerError,
    /// The surrogate has ended with an error.
    SurrogateFailed,
    /// The surrogate runs, but does not answer at its status port.
    StatusUnavailable,
    /// The surrogate has not tried to reach the registry yet.
    Pending,
    /// The registry's name cannot be resolved.
    NameUnknown,
    /// The registry refuses the connection.
    ConnectionRefused,
    /// The registry does not answer in time.
    Timeout,
    /// The registry's certificate is not in its time.
    CertificateExpired,
    /// The registry's certificate is not trusted.
    CertificateUntrusted,
    /// The registry refuses the credentials.
    Unauthorized,
    /// The mounted authority or credentials are missing or malformed.
    CredentialsInvalid,
    /// What answers is no registry.
    NotARegistry,
    /// The registry answers with an error.
    ServerError,
    /// The surrogate could not fetch the cluster's keys, so that it lets nobody in.
    KeysUnavailable,
    /// Another failure.
    Failed,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A condition as it should be, without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCondition {
    /// What it is about.
    pub type_: ConditionType,
    /// Whether it holds.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// For people; cut at [`LONGEST_MESSAGE`].
    pub message: String,
}

impl NewCondition {
    /// Returns a condition.
    pub fn new(type_: ConditionType, state: State, reason: Reason, message: impl Into<String>) -> Self {
        Self { type_, state, reason, message: message.into() }
    }
}

/// Puts `new` into `conditions`, observed of `generation` at `now`. Says whether anything changed.
///
/// The transition time changes only when the state does. Conditions of other types stay.
pub fn set(
    conditions: &mut Vec<Condition>,
    new: &NewCondition,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let name = new.type_.as_str();
    let position = conditions.iter().position(|condition| condition.type_ == name);
    let kept = position
        .map(|index| &conditions[index])
        .filter(|condition| condition.status == new.state.as_str())
        .map(|condition| condition.last_transition_time.clone());
    let condition = Condition {
        last_transition_time: kept.unwrap_or(Time(now)),
        message: cut(&new.message).into(),
        observed_generation: generation,
        reason: new.reason.as_str().into(),
        status: new.state.as_str().into(),
        type_: name.into(),
    };
    match position {
        Some(index) if conditions[index] == condition => return false,
        Some(index) => conditions[index] = condition,
        None => conditions.push(condition),
    }
    true
}

/// Finds the condition of type `type_`.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// Returns whether the condition of type `type_` holds; [`State::Unknown`] if there is none.
pub fn state(conditions: &[Condition], type_: ConditionType) -> State {
    find(conditions, type_).map_or(State::Unknown, |condition| State::from_name(&condition.status))
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(LONGEST_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(state: State, message: &str) -> NewCondition {
        NewCondition::new(ConditionType::Ready, state, Reason::Failed, message)
    }

    #[test]
    fn the_transition_time_changes_with_the_state_only() {
        let mut conditions = Vec::new();
        assert!(set(&mut conditions, &ready(State::False, "a"), Some(1), at(1)));
        assert!(!set(&mut conditions, &ready(State::False, "a"), Some(1), at(2)));
        assert!(set(&mut conditions, &ready(State::False, "b"), Some(1), at(3)));
        assert_eq!(conditions[0].last_transition_time.0, at(1));
        assert!(set(&mut conditions, &ready(State::True, "b"), Some(1), at(4)));
        assert_eq!(conditions[0].last_transition_time.0, at(4));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn conditions_of_others_stay() {
        let mut conditions = Vec::new();
        set(&mut conditions, &ready(State::True, ""), None, at(1));
        conditions[0].type_ = "Foreign".into();
        set(&mut conditions, &ready(State::True, ""), None, at(1));
        assert_eq!(conditions.len(), 2);
        assert_eq!(state(&conditions, ConditionType::Ready), State::True);
        assert_eq!(state(&conditions, ConditionType::SurrogateReady), State::Unknown);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let mut conditions = Vec::new();
        set(&mut conditions, &ready(State::True, &"ä".repeat(LONGEST_MESSAGE)), None, at(1));
        assert_eq!(conditions[0].message.len(), LONGEST_MESSAGE);
        set(&mut conditions, &ready(State::True, &format!("a{}", "ä".repeat(LONGEST_MESSAGE))), None, at(1));
        assert_eq!(conditions[0].message.len(), LONGEST_MESSAGE - 1);
    }

    #[test]
    fn reasons_are_what_the_api_takes() {
        // The schema of conditions: ^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$
        assert!(
            Reason::ALL.iter().all(|reason| reason.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric()))
        );
    }
}
