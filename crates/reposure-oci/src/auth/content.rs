//! Credentials by the keys of a Secret: what a folder or a Secret itself holds.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::{
    credentials::Credentials,
    docker_config::{DockerConfig, DockerConfigError},
    source::CredentialsError,
};
use crate::digest::Digest;

/// Credentials, and where they were found.
#[derive(Debug)]
pub(crate) enum Content {
    /// A docker configuration.
    Docker { path: PathBuf, config: DockerConfig, digest: Digest },
    /// Those of the whole registry.
    One(Arc<Credentials>),
}

type Parser = fn(&[u8]) -> Result<DockerConfig, DockerConfigError>;
type Value = Result<Option<SecretSlice<u8>>, CredentialsError>;

impl Content {
    /// Reads what `read` gives for the keys below `place`, the first that is there: `.dockerconfigjson`, `.dockercfg`, `token`,
    /// `username` and `password`; `tls.crt` and `tls.key` alone are nobody's, since what they say is said by TLS.
    pub(crate) fn read(place: &Path, read: impl Fn(&Path) -> Value) -> Result<Self, CredentialsError> {
        let parsers: [(_, Parser); 2] = [
            (".dockerconfigjson", DockerConfig::from_docker_config_json),
            (".dockercfg", DockerConfig::from_docker_cfg),
        ];
        for (name, parse) in parsers {
            let path = place.join(name);
            if let Some(bytes) = read(&path)? {
                let digest = Digest::sha256_of(bytes.expose_secret());
                let wrong = |source| CredentialsError::DockerConfig { path: path.clone(), source };
                let config = parse(bytes.expose_secret()).map_err(wrong)?;
                return Ok(Self::Docker { path, config, digest });
            }
        }
        read_plain(place, read).map(|credentials| Self::One(Arc::new(credentials)))
    }

    /// Tells whether this is what was read before.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(mine), Self::One(theirs)) => mine.same(theirs),
            (Self::Docker { digest: mine, .. }, Self::Docker { digest: theirs, .. }) => mine == theirs,
            _ => false,
        }
    }

    /// Returns the credentials for a repository of a registry, or for it as such, by the first of its names that is known.
    pub(crate) fn choose(
        &self,
        hosts: &[String],
        repository: Option<&str>,
    ) -> Result<Arc<Credentials>, CredentialsError> {
        match self {
            Self::One(credentials) => Ok(Arc::clone(credentials)),
            Self::Docker { path, config, .. } => {
                let wrong = |source| CredentialsError::DockerConfig { path: path.clone(), source };
                let found = hosts.iter().find_map(|host| config.find(host, repository).transpose());
                found.transpose().map_err(wrong)?.map(Arc::new).ok_or_else(|| CredentialsError::NoEntry {
                    path: path.clone(),
                    host: hosts.join(" or "),
                    known: config.hosts().collect::<Vec<_>>().join(", "),
                })
            }
        }
    }
}

fn read_plain(place: &Path, read: impl Fn(&Path) -> Value) -> Result<Credentials, CredentialsError> {
    let text = |name: &str| {
        let path = place.join(name);
        read(&path)?.map(|bytes| text(&path, &bytes)).transpose()
    };
    if let Some(token) = text("token")? {
        return Ok(Credentials::Bearer(token));
    }
    match (text("username")?, text("password")?) {
        (Some(username), Some(password)) => {
            Ok(Credentials::Basic { username: username.expose_secret().into(), password })
        }
        _ if read(&place.join("tls.crt"))?.is_some() && read(&place.join("tls.key"))?.is_some() => {
            Ok(Credentials::Anonymous)
        }
        _ => Err(CredentialsError::Nothing { path: place.into() }),
    }
}

/// Returns a value without the newline that editors put at its end.
fn text(path: &Path, bytes: &SecretSlice<u8>) -> Result<SecretString, CredentialsError> {
    let text = std::str::from_utf8(bytes.expose_secret())
        .map_err(|_| CredentialsError::NoText { path: path.into() })?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}
