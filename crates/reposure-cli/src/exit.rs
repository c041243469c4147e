//! Exit codes, and what an error says: what was being done, why it failed, and what to try.

use std::{error::Error as _, fmt};

use reposure_admin::AdminError;
use reposure_client::{pull::PullError, push::PushError, session::SessionError, token::TokenError};
use reposure_oci::{archive, registry, sink};
use reposure_parcel::problem::Code;

use crate::commands::image::FileSinkError;

/// What kind of failure ended the command. The codes are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Anything that has no code of its own. 1.
    Other,
    /// The command line is wrong, or what it names cannot be used. 2.
    Usage,
    /// A registry, image, file or other object that was named is not there. 3.
    NotFound,
    /// A right is missing. 4.
    Denied,
    /// API server, surrogate or registry cannot be reached. 5.
    Unreachable,
    /// Bytes are not what their digest says, or an archive is malformed. 6.
    Verification,
    /// An object is in the way. 7.
    Conflict,
}

impl Kind {
    /// Returns the exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Denied => 4,
            Self::Unreachable => 5,
            Self::Verification => 6,
            Self::Conflict => 7,
        }
    }
}

/// An error of the command's own, with its kind and what to try.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Ctrl-C.
pub(crate) fn interrupted() -> anyhow::Error {
    Failure::new(Kind::Other, "interrupted").into()
}

/// Returns the kind of the first cause that has one.
pub(crate) fn kind(error: &anyhow::Error) -> Kind {
    // A failure of our own may be context around a cause, which a chain of plain errors does not show.
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.kind;
    }
    error.chain().find_map(kind_of).unwrap_or(Kind::Other)
}

fn kind_of(cause: &(dyn std::error::Error + 'static)) -> Option<Kind> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.kind);
    }
    if let Some(error) = cause.downcast_ref::<SessionError>() {
        return Some(of_session(error));
    }
    if let Some(error) = cause.downcast_ref::<TokenError>() {
        return Some(if error.denied { Kind::Denied } else { Kind::Unreachable });
    }
    if let Some(error) = cause.downcast_ref::<PushError>() {
        return of_push(error);
    }
    if let Some(PullError::Answer { .. } | PullError::Malformed { .. }) = cause.downcast_ref() {
        return Some(Kind::Verification);
    }
    if let Some(error) = cause.downcast_ref::<registry::Error>() {
        return of_registry(error);
    }
    if let Some(error) = cause.downcast_ref::<AdminError>() {
        return of_admin(error);
    }
    if let Some(error) = cause.downcast_ref::<kube::Error>() {
        return Some(of_kubernetes(error));
    }
    if let Some(error) = cause.downcast_ref::<std::io::Error>() {
        return of_io(error);
    }
    of_images(cause)
}

/// Images on disk: what is not there was found by its IO error, so what is left is damaged.
fn of_images(cause: &(dyn std::error::Error + 'static)) -> Option<Kind> {
    if let Some(error) = cause.downcast_ref::<archive::OpenError>() {
        return Some(error.source().and_then(kind_of).unwrap_or(Kind::Verification));
    }
    if cause.is::<archive::SelectError>() {
        return Some(Kind::Usage);
    }
    let damaged = matches!(cause.downcast_ref(), Some(sink::WriteError::Blob(_)))
        || matches!(cause.downcast_ref(), Some(FileSinkError::Digest { .. }));
    damaged.then_some(Kind::Verification)
}

fn of_session(error: &SessionError) -> Kind {
    match error {
        SessionError::Token(error) if error.denied => Kind::Denied,
        SessionError::ApiServer { status, .. } => match status.as_u16() {
            401 | 403 => Kind::Denied,
            _ => Kind::Unreachable,
        },
        SessionError::Problem { problem, .. } => match problem.code {
            Code::Unauthorized | Code::Forbidden | Code::UpstreamDenied => Kind::Denied,
            Code::DigestMismatch => Kind::Verification,
            Code::Conflict => Kind::Conflict,
            Code::UpstreamUnreachable | Code::UpstreamBusy | Code::NoKeys | Code::Ending => Kind::Unreachable,
            Code::BadRequest
            | Code::NotFound
            | Code::OutsideWindow
            | Code::TooLarge
            | Code::TooManyUploads
            | Code::UpstreamRefused
            | Code::Unknown => Kind::Other,
        },
        SessionError::Token(_)
        | SessionError::Channel { .. }
        | SessionError::Broken { .. }
        | SessionError::Timeout { .. } => Kind::Unreachable,
        SessionError::Malformed { .. } | SessionError::Version { .. } => Kind::Other,
    }
}

/// What a push is made of has causes of their own, except where bytes are wrong.
fn of_push(error: &PushError) -> Option<Kind> {
    match error {
        PushError::Corrupt { .. } | PushError::OtherDigest { .. } | PushError::StoredOther { .. } => {
            Some(Kind::Verification)
        }
        PushError::Source { source, .. } => Some(kind_of(source.as_ref()).unwrap_or(Kind::Verification)),
        PushError::Blob { .. } => Some(Kind::Verification),
        PushError::Exists(_) | PushError::Upload { .. } | PushError::Manifest { .. } | PushError::Task(_) => {
            None
        }
    }
}

fn of_registry(error: &registry::Error) -> Option<Kind> {
    if error.is_not_found() {
        Some(Kind::NotFound)
    } else if error.is_denied() {
        Some(Kind::Denied)
    } else {
        None
    }
}

fn of_admin(error: &AdminError) -> Option<Kind> {
    match error {
        AdminError::Denied { .. } => Some(Kind::Denied),
        AdminError::NotFound { .. } => Some(Kind::NotFound),
        AdminError::Conflict { .. } => Some(Kind::Conflict),
        AdminError::Refused { .. } => Some(Kind::Usage),
        // What failed is a cause of its own; what did not happen in time has no code of its own.
        _ => None,
    }
}

fn of_kubernetes(error: &kube::Error) -> Kind {
    match error {
        kube::Error::Api(status) => match status.code {
            401 | 403 => Kind::Denied,
            404 => Kind::NotFound,
            409 => Kind::Conflict,
            400 | 422 => Kind::Usage,
            _ => Kind::Other,
        },
        kube::Error::Auth(_) => Kind::Denied,
        kube::Error::HyperError(_) | kube::Error::Service(_) => Kind::Unreachable,
        _ => Kind::Other,
    }
}

fn of_io(error: &std::io::Error) -> Option<Kind> {
    match error.kind() {
        std::io::ErrorKind::NotFound => Some(Kind::NotFound),
        std::io::ErrorKind::PermissionDenied => Some(Kind::Denied),
        _ => None,
    }
}

/// Prints an error with its causes and what to try.
pub(crate) fn report(error: &anyhow::Error) {
    eprintln!("error: {error}");
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        // Some libraries repeat a cause in the text of what it caused.
        if !said.contains(&text) {
            eprintln!("  because: {text}");
        }
        said = text;
    }
    if let Some(hint) = hint(error) {
        eprintln!("  try: {hint}");
    }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.hint.clone();
    }
    let of_admin = |error: &AdminError| error.hint();
    if let Some(hint) = error.chain().filter_map(|cause| cause.downcast_ref()).find_map(of_admin) {
        return Some(hint);
    }
    error.chain().find_map(|cause| match cause.downcast_ref::<SessionError>()? {
        SessionError::Token(error) if error.denied => Some(format!(
            "ask for the right to create tokens: kubectl create role reposure-token -n {0} --verb=create \
             --resource=serviceaccounts/token --resource-name={1}",
            error.namespace, error.service_account
        )),
        SessionError::ApiServer { status, .. } if status.as_u16() == 403 => {
            Some("ask for the right to use `pods/proxy`, which the roles `edit` and `admin` hold".into())
        }
        SessionError::ApiServer { .. } => Some(
            "see whether the surrogate runs: kubectl get pods -l app.kubernetes.io/part-of=reposure".into(),
        ),
        SessionError::Problem { problem, .. } if problem.code == Code::UpstreamUnreachable => {
            Some("see whether the registry runs: reposure registry describe NAME".into())
        }
        _ => None,
    })
}
