//! Reaching registries that no surrogate is beside, as whoever the user is there.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use reposure_oci::{
    DirectOptions, DirectTransport, Scheme, TrustAnchors,
    auth::UserCredentials,
    direct::{Cause, DirectError},
    place::RemoteName,
    registry::{Client, Failure as Reason},
};

/// The variable that names podman's and skopeo's file of credentials.
const REGISTRY_AUTH_FILE: &str = "REGISTRY_AUTH_FILE";
/// The variable that names the folder of docker's.
const DOCKER_CONFIG: &str = "DOCKER_CONFIG";

/// What options say of a registry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach<'a> {
    /// By plain HTTP.
    pub(crate) plain_http: bool,
    /// By these certificates alone.
    pub(crate) authority: Option<&'a Path>,
}

/// Prepares connections to the registry of an image. By plain HTTP only where that is asked for, or where a registry on this machine
/// speaks no TLS.
pub(crate) async fn client(name: &RemoteName, reach: Reach<'_>) -> Result<Client<DirectTransport>> {
    if reach.plain_http {
        return connect(name, Scheme::Http, TrustAnchors::System);
    }
    if let Some(path) = reach.authority {
        let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let connected = connect(name, Scheme::Https, TrustAnchors::Pem(pem));
        return connected.with_context(|| format!("cannot use {}", path.display()));
    }
    let client = connect(name, Scheme::Https, TrustAnchors::System)?;
    if name.is_loopback() && speaks_plain_http(&client).await {
        return connect(name, Scheme::Http, TrustAnchors::System);
    }
    Ok(client)
}

fn connect(name: &RemoteName, scheme: Scheme, trust: TrustAnchors) -> Result<Client<DirectTransport>> {
    let mut options = DirectOptions::new(name.endpoint(scheme));
    options.trust = trust;
    options.credentials = Arc::new(UserCredentials::new(name.host(), credentials_files()));
    Ok(Client::new(DirectTransport::new(options)?))
}

/// Tells whether TLS fails, as it does with a registry that was started for a try. Nothing of this leaves the machine.
async fn speaks_plain_http(client: &Client<DirectTransport>) -> bool {
    let ping = client.ping().await;
    let of = |error: &Reason| match error {
        Reason::Transport(error) => error.source.downcast_ref::<DirectError>().map(|error| error.cause),
        _ => None,
    };
    ping.is_err_and(|error| of(&error.failure) == Some(Cause::Tls))
}

/// Lists the files that hold credentials of a user, in the order in which podman and skopeo look at them: theirs, then docker's.
fn credentials_files() -> Vec<PathBuf> {
    if let Some(file) = set(REGISTRY_AUTH_FILE) {
        return vec![file];
    }
    let home = env::home_dir();
    let in_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let configuration = set("XDG_CONFIG_HOME").or_else(|| in_home(".config"));
    let docker = set(DOCKER_CONFIG).or_else(|| in_home(".docker"));
    let files = [
        set("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        configuration.map(|folder| folder.join("containers/auth.json")),
        docker.map(|folder| folder.join("config.json")),
    ];
    files.into_iter().flatten().collect()
}

fn set(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(Into::into)
}
