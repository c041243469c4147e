//! The kind of an error: that of its first cause that has one.

use std::{error::Error as StdError, io};

use kube::config::KubeconfigError;
use reposure_admin::AdminError;
use reposure_client::{pull::PullError, push::PushError, session::SessionError, token::TokenError};
use reposure_oci::{
    BlobError, archive,
    daemon::DaemonError,
    direct::DirectError,
    place,
    platform::PlatformError,
    registry,
    remote::RemoteError,
    sink,
    spool::{CannotCreate, SpoolFull},
    transfer,
};
use reposure_parcel::problem::Code;

use super::{Failure, Kind};
use crate::connect::LadderError;

type Cause<'a> = &'a (dyn StdError + 'static);

/// Returns the kind of the first cause that has one.
pub(crate) fn kind(error: &anyhow::Error) -> Kind {
    error.chain().find_map(kind_of).unwrap_or(Kind::Other)
}

fn kind_of(cause: Cause<'_>) -> Option<Kind> {
    const OF: [fn(Cause<'_>) -> Option<Kind>; 6] =
        [of_own, of_cluster, of_exchange, of_daemon, of_remote, of_images];
    OF.into_iter().find_map(|of| of(cause))
}

fn of_own(cause: Cause<'_>) -> Option<Kind> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return failure.kind;
    }
    let error = cause.downcast_ref::<io::Error>()?;
    if is_of_spool(error) {
        return Some(Kind::Other);
    }
    match error.kind() {
        io::ErrorKind::NotFound => Some(Kind::NotFound),
        io::ErrorKind::PermissionDenied => Some(Kind::Denied),
        _ => None,
    }
}

/// Tells that there is no room for temporary files, or no place: that says nothing of the image.
fn is_of_spool(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<SpoolFull>() || inner.is::<CannotCreate>())
}

/// Returns the kind of what an image is made of: of the first cause that has one. Where the system and the work itself did not
/// fail, the bytes are damaged.
fn of_source(cause: Cause<'_>) -> Kind {
    let of = |cause| kind_of(cause).or_else(|| is_of_work(cause).then_some(Kind::Other));
    std::iter::successors(Some(cause), |cause| (*cause).source()).find_map(of).unwrap_or(Kind::Verification)
}

/// Tells a disk that is full or fails, and a task that was broken off, from what decompressors say.
fn is_of_work(cause: Cause<'_>) -> bool {
    let is_of_system = |error: &io::Error| error.raw_os_error().is_some();
    cause.is::<tokio::task::JoinError>() || cause.downcast_ref().is_some_and(is_of_system)
}

/// What the API server says of objects.
fn of_cluster(cause: Cause<'_>) -> Option<Kind> {
    if let Some(error) = cause.downcast_ref::<AdminError>() {
        return of_admin(error);
    }
    if let Some(error) = cause.downcast_ref::<KubeconfigError>() {
        return Some(of_kubeconfig(error));
    }
    cause.downcast_ref().map(of_kubernetes)
}

fn of_admin(error: &AdminError) -> Option<Kind> {
    match error {
        AdminError::Denied { .. } => Some(Kind::Denied),
        AdminError::NotFound { .. } => Some(Kind::NotFound),
        AdminError::Conflict { .. } => Some(Kind::Conflict),
        AdminError::Refused { .. } => Some(Kind::Usage),
        AdminError::Failed { source, .. } => Some(of_kubernetes(source)),
        // What did not happen in time has no code of its own.
        _ => None,
    }
}

fn of_kubeconfig(error: &KubeconfigError) -> Kind {
    match error {
        KubeconfigError::LoadContext(_) => Kind::NotFound,
        KubeconfigError::ReadConfig(error, _) if error.kind() == io::ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Usage,
    }
}

fn of_kubernetes(error: &kube::Error) -> Kind {
    match error {
        kube::Error::Api(status) => match status.code {
            401 | 403 => Kind::Denied,
            404 => Kind::NotFound,
            409 => Kind::Conflict,
            400 | 422 => Kind::Usage,
            500.. => Kind::Unreachable,
            _ => Kind::Other,
        },
        kube::Error::Auth(_) => Kind::Denied,
        kube::Error::HyperError(_) | kube::Error::Service(_) => Kind::Unreachable,
        _ => Kind::Other,
    }
}

/// What surrogate and registry say.
fn of_exchange(cause: Cause<'_>) -> Option<Kind> {
    if let Some(error @ LadderError::Closed(_)) = cause.downcast_ref() {
        return Some(if error.is_denied() { Kind::Denied } else { Kind::Unreachable });
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
    if let Some(error) = cause.downcast_ref::<PullError>() {
        return of_pull(error);
    }
    cause.downcast_ref().and_then(of_registry)
}

fn of_session(error: &SessionError) -> Kind {
    match error {
        SessionError::Token(error) if error.denied => Kind::Denied,
        SessionError::ApiServer { status, .. } => match status.as_u16() {
            401 | 403 => Kind::Denied,
            _ => Kind::Unreachable,
        },
        SessionError::Problem { problem, .. } => of_problem(problem.code),
        SessionError::Token(_)
        | SessionError::Channel { .. }
        | SessionError::Broken { .. }
        | SessionError::Timeout { .. } => Kind::Unreachable,
        SessionError::Malformed { .. } | SessionError::Version { .. } => Kind::Other,
    }
}

const fn of_problem(code: Code) -> Kind {
    match code {
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
    }
}

/// What a push is made of has causes of their own, except where bytes are wrong.
fn of_push(error: &PushError) -> Option<Kind> {
    match error {
        PushError::Corrupt { .. } | PushError::OtherDigest { .. } | PushError::StoredOther { .. } => {
            Some(Kind::Verification)
        }
        // Of another registry, whose answer is the next cause.
        PushError::Blob { source: BlobError::Fetch { .. }, .. } => None,
        PushError::Blob { source, .. } => Some(of_source(source)),
        PushError::Source { source, .. } => Some(of_source(source.as_ref())),
        PushError::Exists(_) | PushError::Upload { .. } | PushError::Manifest { .. } | PushError::Task(_) => {
            None
        }
    }
}

fn of_pull(error: &PullError) -> Option<Kind> {
    match error {
        PullError::Answer { status, .. } if status.is_success() => Some(Kind::Verification),
        PullError::Answer { status, .. } => match status.as_u16() {
            401 | 403 => Some(Kind::Denied),
            404 => Some(Kind::NotFound),
            500.. => Some(Kind::Unreachable),
            _ => None,
        },
        PullError::Image(error) => of_image(error),
        PullError::Blob { .. } | PullError::Damaged(_) => Some(Kind::Verification),
        PullError::Ask { .. }
        | PullError::Range { .. }
        | PullError::Write(_)
        | PullError::ReadBack(_)
        | PullError::Task(_)
        | PullError::Sink(_) => None,
    }
}

fn of_registry(error: &registry::Error) -> Option<Kind> {
    if error.is_immutable() {
        return Some(Kind::Conflict);
    }
    if error.is_not_found() {
        return Some(Kind::NotFound);
    }
    if error.is_denied() {
        return Some(Kind::Denied);
    }
    match &*error.failure {
        registry::Failure::Timeout(_) | registry::Failure::Broken(_) | registry::Failure::Html { .. } => {
            Some(Kind::Unreachable)
        }
        registry::Failure::Refused(refusal) if refusal.status.is_server_error() => Some(Kind::Unreachable),
        registry::Failure::Digest { .. }
        | registry::Failure::Size { .. }
        | registry::Failure::Range { .. }
        | registry::Failure::Manifest(_) => Some(Kind::Verification),
        _ => None,
    }
}

/// What docker and podman say.
fn of_daemon(cause: Cause<'_>) -> Option<Kind> {
    Some(match cause.downcast_ref::<DaemonError>()? {
        DaemonError::NotFound { .. } => Kind::NotFound,
        DaemonError::Denied { .. } => Kind::Denied,
        DaemonError::Refused { status, .. } if matches!(status.as_u16(), 401 | 403) => Kind::Denied,
        DaemonError::NotRunning { .. }
        | DaemonError::Unreachable { .. }
        | DaemonError::Timeout { .. }
        | DaemonError::Broken { .. }
        | DaemonError::Stranger { .. } => Kind::Unreachable,
        DaemonError::Refused { .. } | DaemonError::NotLoaded { .. } => Kind::Other,
        // What is wrong with the archive is the next cause.
        DaemonError::Archive { .. } => return None,
    })
}

/// What another registry says, and what is wrong with its images.
fn of_remote(cause: Cause<'_>) -> Option<Kind> {
    if cause.is::<DirectError>() {
        return Some(Kind::Unreachable);
    }
    cause.downcast_ref().and_then(of_image)
}

/// What is wrong with an image of a registry; what the registry says is the next cause.
const fn of_image(error: &RemoteError) -> Option<Kind> {
    match error {
        RemoteError::Manifest { .. } | RemoteError::Layer { .. } | RemoteError::Referrers { .. } => None,
        RemoteError::NoPlatform { .. } => Some(Kind::NotFound),
        RemoteError::Malformed { .. }
        | RemoteError::Size { .. }
        | RemoteError::TooDeep { .. }
        | RemoteError::TooMany { .. }
        | RemoteError::TooManyLayers { .. } => Some(Kind::Verification),
    }
}

/// Images on disk: what is not there was found by its IO error, so what is left is damaged.
fn of_images(cause: Cause<'_>) -> Option<Kind> {
    if matches!(cause.downcast_ref(), Some(archive::OpenError::Receive { .. })) {
        return None;
    }
    if let Some(archive::OpenError::Decompress { source, .. }) = cause.downcast_ref() {
        return Some(of_source(source));
    }
    if let Some(error) = cause.downcast_ref::<archive::OpenError>() {
        return Some(error.source().and_then(kind_of).unwrap_or(Kind::Verification));
    }
    if let Some(error) = cause.downcast_ref::<PlatformError>() {
        return of_platform(error);
    }
    if cause.is::<archive::SelectError>() || cause.is::<place::PlaceError>() {
        return Some(Kind::Usage);
    }
    if let Some(error) = cause.downcast_ref::<sink::PlanError>() {
        return Some(of_plan(error));
    }
    if let Some(error) = cause.downcast_ref::<sink::LayoutWriteError>() {
        return of_layout(error);
    }
    if let Some(transfer::PushError::TwoSizes(_)) = cause.downcast_ref() {
        return Some(Kind::Verification);
    }
    let is_corrupt = matches!(
        cause.downcast_ref(),
        Some(BlobError::Size { .. } | BlobError::Digest { .. } | BlobError::Damaged { .. })
    );
    is_corrupt.then_some(Kind::Verification)
}

const fn of_platform(error: &PlatformError) -> Option<Kind> {
    match error {
        PlatformError::None { .. } | PlatformError::Other { .. } | PlatformError::Unknown(_) => {
            Some(Kind::NotFound)
        }
        PlatformError::TooLarge(_) | PlatformError::Index(_) => Some(Kind::Verification),
        PlatformError::Config(_) | PlatformError::Read(_) => None,
    }
}

const fn of_plan(error: &sink::PlanError) -> Kind {
    match error {
        sink::PlanError::Index(_) | sink::PlanError::NotDockers(_) => Kind::Usage,
        sink::PlanError::Write(_) | sink::PlanError::Header { .. } => Kind::Other,
        _ => Kind::Verification,
    }
}

fn of_layout(error: &sink::LayoutWriteError) -> Option<Kind> {
    match error {
        sink::LayoutWriteError::NotALayout(_)
        | sink::LayoutWriteError::NameTaken { .. }
        | sink::LayoutWriteError::Locked { .. } => Some(Kind::Conflict),
        sink::LayoutWriteError::Write { source, .. } => kind_of(source),
        sink::LayoutWriteError::Broken { .. } => None,
        sink::LayoutWriteError::Store { source, .. } => {
            Some(source.source().and_then(kind_of).unwrap_or(Kind::Verification))
        }
        _ => Some(Kind::Verification),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_no_damage() {
        let full = || SpoolFull { folder: "/tmp".into(), limit: 1 };
        let gone = || CannotCreate { folder: "/tmp".into(), source: io::ErrorKind::NotFound.into() };
        let cases = [
            (io::Error::from(rustix::io::Errno::NOSPC), Kind::Other),
            (io::Error::from(rustix::io::Errno::IO), Kind::Other),
            (io::Error::from(rustix::io::Errno::ACCESS), Kind::Denied),
            (io::Error::from(rustix::io::Errno::NOENT), Kind::NotFound),
            (io::Error::other(full()), Kind::Other),
            (io::Error::new(io::ErrorKind::NotFound, gone()), Kind::Other),
            (io::Error::other("unknown frame descriptor"), Kind::Verification),
            (io::ErrorKind::UnexpectedEof.into(), Kind::Verification),
        ];
        for (error, expected) in cases {
            let text = format!("{error:?}");
            let layer = archive::LayerError::Compress { layer: "layer.tar".into(), source: error };
            let pushed = PushError::Source { part: "a layer".into(), source: layer.into() };
            assert_eq!(kind(&pushed.into()), expected, "{text}");
        }
        let (path, size) = ("app.tar.zst".into(), 0);
        let opened = archive::OpenError::Decompress { path, size, source: io::Error::other(full()) };
        assert_eq!(kind(&opened.into()), Kind::Other);
        let (path, offset, length) = ("layer".into(), 0, 1);
        let source = BlobError::Read { path, offset, length, source: rustix::io::Errno::IO.into() };
        let pushed = PushError::Blob { digest: reposure_oci::Digest::sha256_of("x"), source };
        assert_eq!(kind(&pushed.into()), Kind::Other);
    }
}
