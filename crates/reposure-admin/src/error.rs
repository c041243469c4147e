//! What goes wrong between plan and cluster, said so that a person knows what to do.

use std::{fmt, time::Duration};

use crate::{
    object::ObjectName,
    plan::{CertificateError, KeysError, PasswordError},
};

/// What was being done to an object, as roles name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read.
    Get,
    /// Read many.
    List,
    /// Create.
    Create,
    /// Change, or create by server-side apply.
    Patch,
    /// Change what was read.
    Update,
    /// Delete.
    Delete,
}

impl Verb {
    /// Returns the verb's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why an object could not be read, written, deleted or waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// A right is missing (HTTP 401 or 403).
    #[error("not allowed to {verb} {object}: {message}")]
    Denied {
        /// What was tried.
        verb: Verb,
        /// On what.
        object: Box<ObjectName>,
        /// What the API server said.
        message: String,
    },
    /// The object, its namespace, or its kind does not exist (404).
    #[error("cannot {verb} {object}: it does not exist: {message}")]
    NotFound {
        /// What was tried.
        verb: Verb,
        /// On what.
        object: Box<ObjectName>,
        /// What the API server said.
        message: String,
    },
    /// Somebody else changed or holds the object (409).
    #[error("cannot {verb} {object}: {message}")]
    Conflict {
        /// What was tried.
        verb: Verb,
        /// On what.
        object: Box<ObjectName>,
        /// What the API server said.
        message: String,
    },
    /// The API server refuses what the object holds (400 or 422).
    #[error("cannot {verb} {object}: the API server refuses it: {message}")]
    Refused {
        /// What was tried.
        verb: Verb,
        /// On what.
        object: Box<ObjectName>,
        /// What the API server said.
        message: String,
    },
    /// The API server did not answer, or failed.
    #[error("cannot {verb} {object}")]
    Failed {
        /// What was tried.
        verb: Verb,
        /// On what.
        object: Box<ObjectName>,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object cannot be written as JSON.
    #[error("{object} cannot be written as JSON")]
    Encode {
        /// The object.
        object: Box<ObjectName>,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A certificate cannot be made.
    #[error("{object} cannot be made")]
    Certificate {
        /// The Secret.
        object: Box<ObjectName>,
        /// Why.
        #[source]
        source: CertificateError,
    },
    /// Users cannot be made.
    #[error("{object} cannot be made")]
    Passwords {
        /// The Secret.
        object: Box<ObjectName>,
        /// Why.
        #[source]
        source: PasswordError,
    },
    /// A Secret does not hold what is asked of it.
    #[error("{object} cannot be used")]
    Keys {
        /// The Secret.
        object: Box<ObjectName>,
        /// Why.
        #[source]
        source: KeysError,
    },
    /// What was waited for did not happen in time.
    #[error("{object} is not {goal} after {} s: {last}", waited.as_secs())]
    Deadline {
        /// The object.
        object: Box<ObjectName>,
        /// What was waited for.
        goal: &'static str,
        /// How long.
        waited: Duration,
        /// What was last seen.
        last: String,
    },
    /// What was waited for cannot happen without a change by somebody.
    #[error("{object} will not be {goal}: {reason}")]
    Hopeless {
        /// The object.
        object: Box<ObjectName>,
        /// What was waited for.
        goal: &'static str,
        /// Why not.
        reason: String,
    },
}

impl AdminError {
    /// Classifies an error of the API server.
    pub fn new(verb: Verb, object: &ObjectName, source: kube::Error) -> Self {
        let object = Box::new(object.clone());
        let kube::Error::Api(status) = source else {
            return Self::Failed { verb, object, source: Box::new(source) };
        };
        let message = status.message.clone();
        match status.code {
            401 | 403 => Self::Denied { verb, object, message },
            404 => Self::NotFound { verb, object, message },
            409 => Self::Conflict { verb, object, message },
            400 | 422 => Self::Refused { verb, object, message },
            _ => Self::Failed { verb, object, source: Box::new(kube::Error::Api(status)) },
        }
    }

    /// Says whether the same may succeed when tried again without a change by anybody.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Failed { source, .. } => match &**source {
                kube::Error::Api(status) => status.code == 429 || status.code >= 500,
                kube::Error::Service(_) | kube::Error::HyperError(_) => true,
                _ => false,
            },
            Self::Conflict { .. } => true,
            _ => false,
        }
    }

    /// Says what a person can try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Denied { verb, object, .. } => Some(missing_right(*verb, object)),
            Self::NotFound { object, .. } if object.resource.ends_with("reposure.puccini.cloud") => {
                Some("install the definition of Registry with `reposure operator install`".into())
            }
            Self::Refused { object, .. } if object.kind == "StatefulSet" || object.kind == "Deployment" => {
                Some(format!(
                    "if the message says that a field is immutable, delete the {object} and try again"
                ))
            }
            Self::Failed { source, .. } if !matches!(**source, kube::Error::Api(_)) => {
                Some("see that the API server can be reached: `kubectl version`".into())
            }
            _ => None,
        }
    }
}

fn missing_right(verb: Verb, object: &ObjectName) -> String {
    let ObjectName { resource, namespace, .. } = object;
    // Server-side apply of an object that is not there needs both.
    let verbs = if verb == Verb::Patch { "create and patch" } else { verb.as_str() };
    match namespace {
        Some(namespace) => format!("a Role in namespace {namespace} must allow {verbs} on {resource}"),
        None => format!("a ClusterRole must allow {verbs} on {resource}"),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn object() -> ObjectName {
        ObjectName {
            kind: "StatefulSet".into(),
            resource: "statefulsets.apps".into(),
            namespace: Some("team".into()),
            name: "a".into(),
        }
    }

    fn error(code: u16) -> AdminError {
        let status = Status { code, message: "no".into(), ..Status::default() };
        AdminError::new(Verb::Patch, &object(), kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn a_missing_right_is_named() {
        let denied = error(403);
        assert_eq!(denied.to_string(), "not allowed to patch StatefulSet team/a: no");
        let hint = denied.hint().unwrap();
        assert_eq!(hint, "a Role in namespace team must allow create and patch on statefulsets.apps");
    }

    #[test]
    fn only_what_may_pass_by_itself_is_transient() {
        for code in [409, 429, 500, 503] {
            assert!(error(code).is_transient(), "{code}");
        }
        for code in [400, 401, 403, 404, 422] {
            assert!(!error(code).is_transient(), "{code}");
        }
    }
}
