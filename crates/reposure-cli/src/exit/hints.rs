//! What to try.

use std::error::Error as StdError;

use reposure_admin::AdminError;
use reposure_client::{channel::Hop, session::SessionError, token::TokenError};
use reposure_oci::{
    archive::OpenError,
    daemon::{DaemonError, Engine},
    direct::{Cause, DirectError},
    registry,
    remote::RemoteError,
    sink,
};
use reposure_parcel::problem::Code;

use super::Failure;
use crate::{
    other_registry::{AUTHORITY, At, PLAIN_HTTP, Side},
    roles::Grant,
};

/// Where one image is needed, and it is an index of some.
pub(crate) const ONE_PLATFORM: &str = "--platform OS/ARCHITECTURE for one of its images, such as linux/amd64";
/// Where the API server is silent.
pub(crate) const API_SERVER: &str = "see whether the API server can be reached: kubectl version";
/// Where a registry is silent that is reached without a surrogate.
pub(crate) const OTHER_CHANNEL: &str =
    "another channel, where the registry cannot be reached from here: --channel auto";
/// Where a registry refuses who reaches it without a surrogate.
pub(crate) const LOG_IN: &str =
    "docker login or podman login at the registry, or by way of its surrogate: --channel auto";
/// Where the surrogate is.
const SURROGATE: &str =
    "see what its operator says: reposure registry describe NAME, and reposure registry logs NAME";
/// Where the registry is.
const REGISTRY: &str = "see whether the registry itself runs: reposure registry describe NAME";

/// Returns what to try, by the first cause that knows.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    // A context is no cause that could be told by its type.
    let side = error.downcast_ref::<At>().map_or(Side::Source, |at| at.side);
    error.chain().find_map(|cause| of_cause(cause, side))
}

fn of_cause(cause: &(dyn StdError + 'static), side: Side) -> Option<String> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return failure.hint.clone();
    }
    if let Some(error) = cause.downcast_ref::<AdminError>() {
        return of_admin(error);
    }
    if let Some(error) = cause.downcast_ref::<SessionError>() {
        return of_session(error);
    }
    if let Some(error) = cause.downcast_ref::<DaemonError>() {
        return of_daemon(error);
    }
    if cause
        .downcast_ref::<RemoteError>()
        .and_then(RemoteError::registry)
        .is_some_and(registry::Error::is_denied)
    {
        return Some("log in where the image is: docker login, podman login or skopeo login".into());
    }
    if let Some(error) = cause.downcast_ref::<DirectError>() {
        return of_connection(error.cause, side);
    }
    if let Some(error) = cause.downcast_ref::<OpenError>() {
        return of_source(error);
    }
    if let Some(sink::PlanError::Index(_)) = cause.downcast_ref() {
        return Some(ONE_PLATFORM.into());
    }
    if let Some(sink::LayoutWriteError::NameTaken { path, .. }) = cause.downcast_ref() {
        return Some(format!("give the new one a name of its own: oci:{}:NAME", path.display()));
    }
    let silent = matches!(cause.downcast_ref(), Some(kube::Error::Service(_) | kube::Error::HyperError(_)));
    silent.then(|| API_SERVER.into())
}

fn of_admin(error: &AdminError) -> Option<String> {
    match error {
        // It is the namespace that does not exist, and not the kind.
        AdminError::NotFound { object, message, .. } if message.starts_with("namespaces ") => {
            let namespace = object.namespace.as_deref().unwrap_or_default();
            Some(format!("kubectl create namespace {namespace}, or --namespace with one that exists"))
        }
        AdminError::Deadline { object, last, .. } if last.starts_with("no operator ") => {
            let namespace = object.namespace.as_deref().unwrap_or_default();
            Some(format!("reposure operator install --wait --namespace {namespace}"))
        }
        AdminError::Deadline { object, .. } | AdminError::Hopeless { object, .. }
            if object.kind == "Registry" =>
        {
            Some(format!("reposure registry describe {}", object.name))
        }
        error => error.hint(),
    }
}

fn of_session(error: &SessionError) -> Option<String> {
    match error {
        SessionError::Token(error) => Some(of_token(error)),
        SessionError::ApiServer { status, .. } if matches!(status.as_u16(), 401 | 403) => {
            Some("see which right is missing, with reposure doctor; the roles edit and admin hold all".into())
        }
        SessionError::Channel { source, .. } if source.hop == Hop::ApiServer => Some(API_SERVER.into()),
        SessionError::Channel { source, .. } if source.hop == Hop::Credentials => {
            Some("see whether the kubeconfig's credentials still work: kubectl auth whoami".into())
        }
        SessionError::Problem { problem, embedded: true, .. } => of_registry(problem.code),
        SessionError::Problem { problem, .. } => of_problem(problem.code),
        SessionError::Version { .. } => {
            Some("install the operator of this client's version: reposure operator install --wait".into())
        }
        SessionError::ApiServer { .. }
        | SessionError::Channel { .. }
        | SessionError::Broken { .. }
        | SessionError::Timeout { .. } => Some(SURROGATE.into()),
        SessionError::Malformed { .. } => None,
    }
}

fn of_token(error: &TokenError) -> String {
    if error.denied {
        let role = Grant::of_token(&error.namespace, &error.service_account);
        format!("ask for the right to create tokens, with your name for USER: {role}")
    } else {
        // The ServiceAccount is made by the operator.
        SURROGATE.into()
    }
}

fn of_problem(code: Code) -> Option<String> {
    let hint = match code {
        Code::UpstreamUnreachable | Code::UpstreamBusy => REGISTRY,
        Code::UpstreamDenied => {
            "see whether the registry takes the credentials of --authorization-secret: reposure registry describe NAME"
        }
        Code::NoKeys | Code::Ending => SURROGATE,
        _ => return None,
    };
    Some(hint.into())
}

/// What a registry says, or does not, that is reached without a surrogate.
fn of_registry(code: Code) -> Option<String> {
    let hint = match code {
        Code::UpstreamUnreachable | Code::UpstreamBusy => OTHER_CHANNEL,
        Code::UpstreamDenied => LOG_IN,
        _ => return None,
    };
    Some(hint.into())
}

fn of_daemon(error: &DaemonError) -> Option<String> {
    let hint = match error {
        DaemonError::NotRunning { engine: Engine::Docker, .. }
        | DaemonError::Unreachable { engine: Engine::Docker, .. } => {
            "systemctl start docker, or the environment variable DOCKER_HOST=unix:///PATH"
        }
        DaemonError::NotRunning { engine: Engine::Podman, .. }
        | DaemonError::Unreachable { engine: Engine::Podman, .. } => {
            "systemctl start podman.socket, for your own images with --user, or the environment variable \
             CONTAINER_HOST=unix:///PATH"
        }
        DaemonError::Denied { engine: Engine::Docker, .. } => {
            "join the group docker, or: sudo docker save IMAGE | reposure image push REGISTRY IMAGE -"
        }
        DaemonError::Denied { engine: Engine::Podman, .. } => {
            "sudo podman save IMAGE | reposure image push REGISTRY IMAGE -"
        }
        DaemonError::NotFound { engine: Engine::Docker, .. } => "see which there are: docker images",
        DaemonError::NotFound { engine: Engine::Podman, .. } => "see which there are: podman images",
        _ => return None,
    };
    Some(hint.into())
}

fn of_connection(cause: Cause, side: Side) -> Option<String> {
    match cause {
        Cause::Tls => {
            Some(format!("{}, if the registry is to be reached by plain HTTP", side.option(PLAIN_HTTP)))
        }
        Cause::CertificateUntrusted => {
            Some(format!("{} FILE with the registry's authority", side.option(AUTHORITY)))
        }
        _ => None,
    }
}

fn of_source(error: &OpenError) -> Option<String> {
    match error {
        OpenError::NotImages(path) => Some(of_no_images(path)),
        OpenError::NotDocker(path) | OpenError::NotLayout(path) => {
            Some(format!("without a prefix it is found out what it is: {}", path.display()))
        }
        _ => None,
    }
}

fn of_no_images(path: &std::path::Path) -> String {
    if path.is_dir() {
        "name a folder with an OCI layout in it, or a file".into()
    } else if path.exists() {
        format!("to push a file as it is, as an image of one layer: file:{}", path.display())
    } else {
        "a stream must be an archive of images; write anything else to a file, and push that".into()
    }
}
