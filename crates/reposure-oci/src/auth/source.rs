//! Where credentials come from.

use std::{fmt, io, path::PathBuf, sync::Arc};

use futures::future::BoxFuture;

use super::{credentials::Credentials, docker_config::DockerConfigError, helper::HelperError};

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("cannot read the credentials at {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A file is over [`CredentialsError::FILE_LIMIT`].
    #[error("the credentials at {path} are over the limit of {} bytes", CredentialsError::FILE_LIMIT)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A docker configuration is malformed.
    #[error("cannot use the credentials at {path}")]
    DockerConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: DockerConfigError,
    },
    /// A file is no text.
    #[error("the credentials at {path} are no text")]
    NoText {
        /// The file.
        path: PathBuf,
    },
    /// A docker configuration has no entry for the registry.
    #[error("the credentials at {path} have no entry for {host}, but for: {known}")]
    NoEntry {
        /// The file.
        path: PathBuf,
        /// The registry.
        host: String,
        /// The entries that there are.
        known: String,
    },
    /// A program that keeps credentials does not give them.
    #[error("cannot use the credential helper that the docker configuration names")]
    Helper(#[source] HelperError),
    /// There is none of the files that are known.
    #[error("{path} holds none of .dockerconfigjson, .dockercfg, token, or username and password")]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
}

impl CredentialsError {
    /// The largest file, in bytes: what a Secret can hold.
    pub const FILE_LIMIT: usize = 1 << 20;
}

/// Gives the credentials of one registry, as they are now.
pub trait CredentialsSource: Send + Sync + fmt::Debug {
    /// Returns the credentials for a repository, or for the registry as such.
    ///
    /// It is called for each request, so it keeps what it has read.
    ///
    /// # Errors
    /// When there should be credentials, but they cannot be had.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    fn credentials<'a>(
        &'a self,
        repository: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Credentials>, CredentialsError>>;

    /// Takes note that the registry has refused credentials that this gave for a repository, and tells whether it gives others now:
    /// those before a change that the registry has not noticed yet, for example.
    fn refused(&self, repository: Option<&str>, credentials: &Credentials) -> bool {
        let (_, _) = (repository, credentials);
        false
    }

    /// Tells whether what it gives now has changed just now, so that the registry is better asked before it gets what cannot be sent
    /// twice.
    fn is_changing(&self) -> bool {
        false
    }
}

/// Credentials that never change.
#[derive(Clone, Debug)]
pub struct FixedCredentials(Arc<Credentials>);

impl From<Credentials> for FixedCredentials {
    fn from(credentials: Credentials) -> Self {
        Self(Arc::new(credentials))
    }
}

impl CredentialsSource for FixedCredentials {
    fn credentials(&self, _: Option<&str>) -> BoxFuture<'_, Result<Arc<Credentials>, CredentialsError>> {
        Box::pin(std::future::ready(Ok(Arc::clone(&self.0))))
    }
}
