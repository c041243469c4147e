//! `.dockerconfigjson` and `.dockercfg`, as Kubernetes keeps them in Secrets.
//!
//! See the Kubernetes documentation, [`config.json`](https://kubernetes.io/docs/concepts/containers/images/#config-json).

use std::{collections::BTreeMap, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{SecretSlice, SecretString};
use serde::Deserialize;

use super::credentials::{Credentials, TOKEN_USERNAME, secret};

/// Padded or not: both are met.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Docker Hub's names, which all mean the same.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// Why a docker configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DockerConfigError {
    /// It is no JSON of the expected shape. What it holds instead is not shown.
    #[error("the docker configuration is malformed at line {line}, column {column}")]
    Malformed {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// The `auth` of an entry is no base64 of `USERNAME:PASSWORD`.
    #[error("the auth of {0} in the docker configuration is no base64 of USERNAME:PASSWORD")]
    Auth(String),
}

/// Credentials by host, or by host and the beginning of a repository's name.
#[derive(Clone)]
pub struct DockerConfig(BTreeMap<String, Entry>);

#[derive(Clone, Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Clone, Deserialize)]
struct Entry {
    #[serde(default, deserialize_with = "secret")]
    auth: Option<SecretString>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    password: Option<SecretString>,
    #[serde(default, rename = "identitytoken", deserialize_with = "secret")]
    identity_token: Option<SecretString>,
    #[serde(default, rename = "registrytoken", deserialize_with = "secret")]
    registry_token: Option<SecretString>,
}

impl DockerConfig {
    /// Reads a `.dockerconfigjson`: `{"auths": {HOST: {…}}}`.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn from_docker_config_json(bytes: &[u8]) -> Result<Self, DockerConfigError> {
        serde_json::from_slice::<File>(bytes).map(|file| Self(file.auths)).map_err(|error| malformed(&error))
    }

    /// Reads a `.dockercfg`: `{HOST: {…}}`.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn from_docker_cfg(bytes: &[u8]) -> Result<Self, DockerConfigError> {
        serde_json::from_slice(bytes).map(Self).map_err(|error| malformed(&error))
    }

    /// Returns the names of the entries.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns the credentials for a repository of `host` (`host` or `host:port`): those of the entry that says most.
    ///
    /// # Errors
    /// When the entry is malformed. Other entries are not looked at.
    pub fn find(
        &self,
        host: &str,
        repository: Option<&str>,
    ) -> Result<Option<Credentials>, DockerConfigError> {
        let fitting =
            self.0.iter().filter_map(|(name, entry)| Some((fit(name, host, repository)?, name, entry)));
        let best = fitting.max_by_key(|(length, ..)| *length);
        best.map(|(_, name, entry)| entry.credentials(name)).transpose()
    }
}

/// Returns how many characters of a repository's name an entry's name fits, if it fits at all.
fn fit(name: &str, host: &str, repository: Option<&str>) -> Option<usize> {
    let name = without_scheme(name).trim_end_matches('/');
    let (entry_host, path) = name.split_once('/').unwrap_or((name, ""));
    if !same_host(entry_host, host) {
        return None;
    }
    // Docker Hub's own entry ends in the version of an API.
    if matches!(path, "" | "v1" | "v2") {
        return Some(0);
    }
    let rest = repository?.strip_prefix(path)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(path.len())
}

fn without_scheme(name: &str) -> &str {
    name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name)
}

/// Tells whether a host is Docker Hub's.
pub(crate) fn is_docker_hub(host: &str) -> bool {
    same_host(host, DOCKER_HUB[0])
}

/// Names are the same if they differ only by the port that everyone takes.
pub(crate) fn same_host(one: &str, other: &str) -> bool {
    let plain = |host: &str| {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(":443").unwrap_or(&host);
        if DOCKER_HUB.contains(&host) { DOCKER_HUB[0].into() } else { host.to_string() }
    };
    plain(one) == plain(other)
}

impl Entry {
    fn credentials(&self, name: &str) -> Result<Credentials, DockerConfigError> {
        let (username, password) = self.pair(name)?;
        Ok(if let Some(token) = self.registry_token.clone() {
            Credentials::Bearer(token)
        } else if let Some(token) = self.identity_token.clone() {
            let username = username.filter(|name| !name.is_empty());
            Credentials::IdentityToken { username: username.unwrap_or_else(|| TOKEN_USERNAME.into()), token }
        } else if let (Some(username), Some(password)) = (username, password) {
            Credentials::Basic { username, password }
        } else {
            Credentials::Anonymous
        })
    }

    /// `username` and `password` win over `auth`, as in Kubernetes.
    fn pair(&self, name: &str) -> Result<(Option<String>, Option<SecretString>), DockerConfigError> {
        match (&self.username, &self.password, &self.auth) {
            (Some(username), password, None) => Ok((Some(username.clone()), password.clone())),
            (Some(username), Some(password), _) => Ok((Some(username.clone()), Some(password.clone()))),
            (_, _, Some(auth)) => {
                let pair = decode(auth).ok_or_else(|| DockerConfigError::Auth(name.into()))?;
                Ok((Some(pair.0), Some(pair.1)))
            }
            (None, _, None) => Ok((None, None)),
        }
    }
}

fn decode(auth: &SecretString) -> Option<(String, SecretString)> {
    use secrecy::ExposeSecret as _;
    let bytes: SecretSlice<u8> = BASE64.decode(auth.expose_secret().trim()).ok()?.into();
    let text = std::str::from_utf8(bytes.expose_secret()).ok()?;
    let (username, password) = text.split_once(':')?;
    // Some writers of the file pad the password with zeros.
    Some((username.into(), password.trim_end_matches('\0').into()))
}

fn malformed(error: &serde_json::Error) -> DockerConfigError {
    // The error's own text may quote a secret.
    DockerConfigError::Malformed { line: error.line(), column: error.column() }
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.hosts()).finish()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn show(credentials: Option<Credentials>) -> String {
        match credentials {
            None => "none".into(),
            Some(Credentials::Anonymous) => "anonymous".into(),
            Some(Credentials::Basic { username, password }) => {
                format!("{username}:{}", password.expose_secret())
            }
            Some(Credentials::Bearer(token)) => format!("bearer {}", token.expose_secret()),
            Some(Credentials::IdentityToken { username, token }) => {
                format!("identity {username} {}", token.expose_secret())
            }
        }
    }

    fn find(json: &str, host: &str, repository: Option<&str>) -> String {
        let config = DockerConfig::from_docker_config_json(json.as_bytes()).unwrap();
        show(config.find(host, repository).unwrap())
    }

    #[test]
    fn every_form_of_an_entry_is_read() {
        let json = r#"{"auths": {
            "a": {"auth": "YW5uOmh1c2g="}, "b": {"username": "bob", "password": "pst"},
            "c": {"auth": "YW5uOg==", "identitytoken": "id"}, "d": {"registrytoken": "tok"}, "e": {},
            "f": {"auth": "YW5uOmg6dQ"}}}"#;
        let found: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"].map(|host| find(json, host, None)).into();
        assert_eq!(
            found,
            ["ann:hush", "bob:pst", "identity ann id", "bearer tok", "anonymous", "ann:h:u", "none"]
        );
    }

    #[test]
    fn hosts_are_compared_without_scheme_and_usual_port() {
        let json = r#"{"auths": {"https://r.example/v2/": {"username": "u", "password": "p"}}}"#;
        assert_eq!(find(json, "r.example", None), "u:p");
        assert_eq!(find(json, "R.example:443", None), "u:p");
        assert_eq!(find(json, "r.example:5000", None), "none");
        let hub = r#"{"auths": {"https://index.docker.io/v1/": {"username": "u", "password": "p"}}}"#;
        assert_eq!(find(hub, "registry-1.docker.io", None), "u:p");
    }

    #[test]
    fn the_longest_path_wins() {
        let entry = |name: &str| format!(r#"{{"username": "{name}", "password": "p"}}"#);
        let json = format!(
            r#"{{"auths": {{"r": {}, "r/a": {}, "r/a/b": {}}}}}"#,
            entry("host"),
            entry("a"),
            entry("ab")
        );
        assert_eq!(find(&json, "r", Some("a/b/c")), "ab:p");
        assert_eq!(find(&json, "r", Some("a/bc")), "a:p");
        assert_eq!(find(&json, "r", Some("b")), "host:p");
        assert_eq!(find(&json, "r", None), "host:p");
    }

    #[test]
    fn errors_quote_nothing() {
        let error = DockerConfig::from_docker_cfg(br#"{"r": {"password": 12345}}"#).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("12345"));
        let config = DockerConfig::from_docker_cfg(br#"{"r": {"auth": "aHVzaA=="}}"#).unwrap();
        let error = config.find("r", None).unwrap_err();
        assert!(!format!("{error} {error:?} {config:?}").contains("aHVzaA"));
    }
}
