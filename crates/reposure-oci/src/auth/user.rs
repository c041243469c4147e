//! The credentials that a user has for registries: files of docker and podman, and the programs that these name.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretSlice};
use serde::Deserialize;
use tokio::sync::{Mutex, OnceCell};

use super::{
    credentials::Credentials,
    docker_config::{DockerConfig, DockerConfigError, is_docker_hub, same_host},
    folder::{read_file, unreadable},
    helper::Helper,
    source::{CredentialsError, CredentialsSource},
};

/// What docker's helpers know docker.io by.
const DOCKER_HUB_URL: &str = "https://index.docker.io/v1/";

/// The credentials of one registry in files such as `~/.docker/config.json` and podman's `auth.json`.
///
/// The first file that has some for the registry counts. In a file, `credHelpers` count before `credsStore`, and this before
/// `auths`. Without any, the registry is asked as nobody. Each is read once.
///
/// A helper that is not there is passed over, as docker and podman do: most registries of a configuration that names one for all are
/// public. [`UserCredentials::missing_helpers`] tells of it. One that is there and fails is an error.
#[derive(Debug)]
pub struct UserCredentials {
    host: String,
    paths: Vec<PathBuf>,
    files: OnceCell<Vec<UserFile>>,
    found: Mutex<HashMap<Option<String>, Arc<Credentials>>>,
    missing: StdMutex<BTreeSet<String>>,
}

#[derive(Debug)]
struct UserFile {
    path: PathBuf,
    helpers: Helpers,
    entries: DockerConfig,
}

/// The programs that a file names.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Helpers {
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

impl UserCredentials {
    /// Takes the credentials of `host` (`host` or `host:port`) from those of `paths` that are there, the first before the others.
    ///
    /// Nothing is read yet.
    pub fn new(host: impl Into<String>, paths: Vec<PathBuf>) -> Self {
        let (found, missing) = (Mutex::default(), StdMutex::default());
        Self { host: host.into(), paths, files: OnceCell::new(), found, missing }
    }

    /// Returns the helpers that were passed over so far since they are not there, by their programs: `docker-credential-NAME`.
    pub fn missing_helpers(&self) -> Vec<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    async fn files(&self) -> Result<&[UserFile], CredentialsError> {
        let read = || async {
            let paths = self.paths.clone();
            let failed = |error| unreadable(Path::new("the user's files"), io::Error::other(error));
            tokio::task::spawn_blocking(move || read_files(&paths)).await.map_err(failed)?
        };
        self.files.get_or_try_init(read).await.map(Vec::as_slice)
    }

    async fn find(&self, repository: Option<&str>) -> Result<Credentials, CredentialsError> {
        for file in self.files().await? {
            if let Some(found) = self.ask(&file.helpers).await? {
                return Ok(found);
            }
            let wrong = |source| CredentialsError::DockerConfig { path: file.path.clone(), source };
            if let Some(found) = file.entries.find(&self.host, repository).map_err(wrong)? {
                // Beside `credsStore`, entries are empty.
                if !matches!(found, Credentials::Anonymous) {
                    return Ok(found);
                }
            }
        }
        Ok(Credentials::Anonymous)
    }

    async fn ask(&self, helpers: &Helpers) -> Result<Option<Credentials>, CredentialsError> {
        let own = helpers.cred_helpers.iter().find(|(name, _)| same_host(name, &self.host));
        let names = own.map(|(_, name)| name).into_iter().chain(&helpers.creds_store);
        let server = if is_docker_hub(&self.host) { DOCKER_HUB_URL } else { &self.host };
        for name in names.filter(|name| !name.is_empty()) {
            let helper = Helper::new(name).map_err(CredentialsError::Helper)?;
            match helper.get(server).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) if error.is_missing() => self.pass_over(&helper),
                Err(error) => return Err(CredentialsError::Helper(error)),
            }
        }
        Ok(None)
    }

    fn pass_over(&self, helper: &Helper) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.insert(helper.program().into());
    }
}

impl CredentialsSource for UserCredentials {
    fn credentials<'a>(
        &'a self,
        repository: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Credentials>, CredentialsError>> {
        Box::pin(async move {
            // Held while a helper runs, so that it is asked once.
            let mut known = self.found.lock().await;
            let key = repository.map(str::to_owned);
            if let Some(credentials) = known.get(&key) {
                return Ok(Arc::clone(credentials));
            }
            let found = Arc::new(self.find(repository).await?);
            known.insert(key, Arc::clone(&found));
            Ok(found)
        })
    }
}

fn read_files(paths: &[PathBuf]) -> Result<Vec<UserFile>, CredentialsError> {
    paths.iter().filter_map(|path| read(path).transpose()).collect()
}

fn read(path: &Path) -> Result<Option<UserFile>, CredentialsError> {
    let Some(bytes) = read_file(path)? else { return Ok(None) };
    let parsed = parse(&bytes);
    let wrong = |source| CredentialsError::DockerConfig { path: path.into(), source };
    let (helpers, entries) = parsed.map_err(wrong)?;
    Ok(Some(UserFile { path: path.into(), helpers, entries }))
}

fn parse(bytes: &SecretSlice<u8>) -> Result<(Helpers, DockerConfig), DockerConfigError> {
    let bytes = bytes.expose_secret();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        // What `touch` leaves: docker takes it for a file without entries.
        return Ok((Helpers::default(), DockerConfig::from_docker_config_json(b"{}")?));
    }
    let entries = DockerConfig::from_docker_config_json(bytes)?;
    let helpers = serde_json::from_slice(bytes);
    let wrong = |error: serde_json::Error| DockerConfigError::Malformed {
        line: error.line(),
        column: error.column(),
    };
    Ok((helpers.map_err(wrong)?, entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(config: &str) -> (Result<Arc<Credentials>, CredentialsError>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        let user = UserCredentials::new("r.example", vec![path]);
        (user.credentials(None).await, user.missing_helpers())
    }

    #[tokio::test]
    async fn a_helper_that_is_not_there_is_passed_over() {
        let (found, missing) = ask(r#"{"credsStore": "of-nobody-at-all"}"#).await;
        assert!(matches!(*found.unwrap(), Credentials::Anonymous));
        assert_eq!(missing, ["docker-credential-of-nobody-at-all"]);
        let both = r#"{"credHelpers": {"r.example": "nobodys-own"}, "credsStore": "nobodys-store",
            "auths": {"r.example": {"username": "ann", "password": "hush"}}}"#;
        let (found, missing) = ask(both).await;
        assert!(matches!(&*found.unwrap(), Credentials::Basic { username, .. } if username == "ann"));
        assert_eq!(missing, ["docker-credential-nobodys-own", "docker-credential-nobodys-store"]);
    }

    #[tokio::test]
    async fn a_name_that_is_none_of_a_helper_is_not_passed_over() {
        let (found, missing) = ask(r#"{"credsStore": "../nobody"}"#).await;
        assert!(matches!(found, Err(CredentialsError::Helper(_))));
        assert!(missing.is_empty());
    }
}
