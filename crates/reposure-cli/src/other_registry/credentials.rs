//! The credentials that a user has for registries.

use std::{
    env,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::future::BoxFuture;
use reposure_oci::auth::{Credentials, CredentialsError, CredentialsSource, UserCredentials};

use crate::exit;

/// The variable that names podman's and skopeo's file of credentials.
const REGISTRY_AUTH_FILE: &str = "REGISTRY_AUTH_FILE";
/// The variable that names the folder of docker's.
const DOCKER_CONFIG: &str = "DOCKER_CONFIG";

/// A user's credentials that say once which helpers are not there: the registry may well be a public one, and if it is none, its 401
/// alone would not say why.
#[derive(Debug)]
pub(crate) struct TellingCredentials {
    user: UserCredentials,
    host: String,
    /// How many helpers were told of.
    told: AtomicUsize,
}

impl TellingCredentials {
    pub(crate) fn of_host(host: &str) -> Self {
        let user = UserCredentials::new(host, credentials_files());
        Self { user, host: host.into(), told: AtomicUsize::new(0) }
    }

    fn tell(&self) {
        let missing = self.user.missing_helpers();
        if self.told.fetch_max(missing.len(), Ordering::Relaxed) < missing.len() {
            let (missing, host) = (missing.join(" and "), &self.host);
            exit::warn(&format!(
                "there is no {missing}, which the docker configuration names: {host} is asked without its credentials"
            ));
        }
    }
}

impl CredentialsSource for TellingCredentials {
    fn credentials<'a>(
        &'a self,
        repository: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Credentials>, CredentialsError>> {
        Box::pin(async move {
            let found = self.user.credentials(repository).await;
            self.tell();
            found
        })
    }
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
