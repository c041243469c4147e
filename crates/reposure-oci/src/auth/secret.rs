//! Credentials in a Secret that was read.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretSlice};

use super::{
    content::Content,
    credentials::Credentials,
    source::{CredentialsError, CredentialsSource},
};

/// Credentials by the keys of a Secret, as they were when it was read.
///
/// The first that is there counts: `.dockerconfigjson`, `.dockercfg`, `token`, `username` and `password`.
#[derive(Debug)]
pub struct SecretCredentials {
    hosts: Vec<String>,
    content: Content,
}

impl SecretCredentials {
    /// Takes the credentials of a registry from the data of a Secret that is called `name` in errors. `hosts` are the registry's
    /// names (`host` or `host:port`): an entry for the first one that a docker configuration knows counts.
    ///
    /// # Errors
    /// When it holds none, or they are malformed.
    pub fn new(
        name: &str,
        data: &BTreeMap<String, SecretSlice<u8>>,
        hosts: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, CredentialsError> {
        let read = |path: &Path| {
            let value = path.file_name().and_then(|key| key.to_str()).and_then(|key| data.get(key));
            Ok(value.map(|bytes| bytes.expose_secret().to_vec().into()))
        };
        let hosts = hosts.into_iter().map(Into::into).collect();
        Ok(Self { hosts, content: Content::read(Path::new(name), read)? })
    }
}

impl CredentialsSource for SecretCredentials {
    fn credentials<'a>(
        &'a self,
        repository: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Credentials>, CredentialsError>> {
        Box::pin(std::future::ready(self.content.choose(&self.hosts, repository)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn basic(data: &[(&str, &str)]) -> Result<http::HeaderValue, CredentialsError> {
        let data = data.iter().map(|(key, value)| ((*key).into(), value.as_bytes().to_vec().into()));
        let secret = SecretCredentials::new("Secret s", &data.collect(), ["r:5000", "10.0.0.1:5000"])?;
        Ok(secret.credentials(None).await?.basic().unwrap())
    }

    #[tokio::test]
    async fn keys_are_known_by_their_names() {
        let docker = r#"{"auths": {"r:5000": {"auth": "YW5uOmh1c2g="}}}"#;
        for data in [&[("username", "ann\n"), ("password", "hush")][..], &[(".dockerconfigjson", docker)]] {
            assert_eq!(basic(data).await.unwrap(), "Basic YW5uOmh1c2g=");
        }
    }

    #[tokio::test]
    async fn errors_name_the_secret_and_show_nothing_of_it() {
        let error = basic(&[("password", "hush")]).await.unwrap_err().to_string();
        assert!(error.starts_with("Secret s holds none of"), "{error}");
        let address = r#"{"auths": {"10.0.0.1:5000": {"auth": "YW5uOmh1c2g="}}}"#;
        assert_eq!(basic(&[(".dockerconfigjson", address)]).await.unwrap(), "Basic YW5uOmh1c2g=");
        let other = r#"{"auths": {"other": {"auth": "YW5uOmh1c2g="}}}"#;
        let error = basic(&[(".dockerconfigjson", other)]).await.unwrap_err().to_string();
        assert!(error.ends_with("no entry for r:5000 or 10.0.0.1:5000, but for: other"), "{error}");
    }
}
