//! Credentials in the folder that a Secret is mounted at, read again when they change.

use std::{
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use secrecy::SecretSlice;

use super::{
    content::Content,
    credentials::Credentials,
    rotation::Rotation,
    source::{CredentialsError, CredentialsSource},
};

/// How long files are not looked at again, so that it is not done for each request. It adds to the up to 90 s that the kubelet takes to
/// bring a change, after which the registry's old password is about to end.
const FRESH: Duration = Duration::from_secs(1);

/// Credentials in a folder with the keys of a Secret as files.
///
/// The first that is there counts: `.dockerconfigjson`, `.dockercfg`, `token`, `username` and `password`. Where there is only a
/// certificate for TLS, `tls.crt` and `tls.key`, there are no others; see [`ClientIdentity`](crate::direct::ClientIdentity).
///
/// After a change, the ones before are given again where the registry refuses the new ones, for up to 100 s.
#[derive(Debug)]
pub struct CredentialsFolder {
    path: PathBuf,
    hosts: Vec<String>,
    read: Mutex<Option<Rotation>>,
}

impl CredentialsFolder {
    /// Takes the credentials of a registry from a folder. `hosts` are its names (`host` or `host:port`): an entry for the first one that
    /// a docker configuration knows counts.
    ///
    /// Nothing is read yet.
    pub fn new(path: impl Into<PathBuf>, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let hosts = hosts.into_iter().map(Into::into).collect();
        Self { path: path.into(), hosts, read: Mutex::default() }
    }

    fn fresh(&self) -> Option<Arc<Content>> {
        let now = Instant::now();
        let rotation = self.lock();
        rotation.as_ref().filter(|read| now - read.read() < FRESH).map(|read| Arc::clone(read.content(now)))
    }

    async fn content(&self) -> Result<Arc<Content>, CredentialsError> {
        if let Some(content) = self.fresh() {
            return Ok(content);
        }
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || Content::read(&path, read_file)).await;
        let content = read.map_err(|error| unreadable(&self.path, io::Error::other(error)))??;
        Ok(self.update(Arc::new(content)))
    }

    /// Takes what was read, and returns what is to be given.
    fn update(&self, content: Arc<Content>) -> Arc<Content> {
        let now = Instant::now();
        let mut rotation = self.lock();
        let rotation = rotation.get_or_insert_with(|| Rotation::new(Arc::clone(&content), now));
        rotation.update(content, now);
        Arc::clone(rotation.content(now))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Rotation>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CredentialsSource for CredentialsFolder {
    fn credentials<'a>(
        &'a self,
        repository: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Credentials>, CredentialsError>> {
        Box::pin(async move { self.content().await?.choose(&self.hosts, repository) })
    }

    fn refused(&self, repository: Option<&str>, credentials: &Credentials) -> bool {
        let choose = |content: &Content| content.choose(&self.hosts, repository).ok();
        let mut rotation = self.lock();
        rotation.as_mut().is_some_and(|read| read.refuse(credentials, choose, Instant::now()))
    }

    fn is_changing(&self) -> bool {
        self.lock().as_ref().is_some_and(|read| read.is_changing(Instant::now()))
    }
}

pub(crate) fn read_file(path: &Path) -> Result<Option<SecretSlice<u8>>, CredentialsError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    };
    let mut bytes = Vec::new();
    let read = file.take(CredentialsError::FILE_LIMIT as u64 + 1).read_to_end(&mut bytes);
    let length = read.map_err(|error| unreadable(path, error))?;
    if length > CredentialsError::FILE_LIMIT {
        return Err(CredentialsError::TooLarge { path: path.into() });
    }
    Ok(Some(bytes.into()))
}

pub(crate) fn unreadable(path: &Path, source: io::Error) -> CredentialsError {
    CredentialsError::Read { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    async fn basic(folder: &Path) -> Result<http::HeaderValue, CredentialsError> {
        let credentials = CredentialsFolder::new(folder, ["r:5000"]).credentials(None).await?;
        Ok(credentials.basic().unwrap())
    }

    #[tokio::test]
    async fn files_are_known_by_their_names() {
        let plain = folder(&[("username", "ann\n"), ("password", "hush\n")]);
        assert_eq!(basic(plain.path()).await.unwrap(), "Basic YW5uOmh1c2g=");
        let docker =
            folder(&[(".dockercfg", r#"{"r:5000": {"auth": "YW5uOmh1c2g="}}"#), ("username", "bob")]);
        assert_eq!(basic(docker.path()).await.unwrap(), "Basic YW5uOmh1c2g=");
    }

    #[tokio::test]
    async fn a_certificate_needs_no_password() {
        let certificate = folder(&[("tls.crt", "certificate"), ("tls.key", "key")]);
        let credentials = CredentialsFolder::new(certificate.path(), ["r"]).credentials(None).await.unwrap();
        assert!(matches!(*credentials, Credentials::Anonymous));
        let half = folder(&[("tls.crt", "certificate")]);
        assert!(matches!(basic(half.path()).await.unwrap_err(), CredentialsError::Nothing { .. }));
    }

    #[tokio::test]
    async fn errors_say_what_there_is() {
        let nothing = folder(&[("username", "ann")]);
        assert!(matches!(basic(nothing.path()).await.unwrap_err(), CredentialsError::Nothing { .. }));
        let other = folder(&[(".dockerconfigjson", r#"{"auths": {"other": {"auth": "YW5uOmh1c2g="}}}"#)]);
        let error = basic(other.path()).await.unwrap_err().to_string();
        assert!(error.ends_with("no entry for r:5000, but for: other"), "{error}");
    }
}
