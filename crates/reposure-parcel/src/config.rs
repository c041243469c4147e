//! The file that configures a surrogate: JSON, mounted from a ConfigMap that the plan of a `Registry` holds.
//!
//! It names no secret. Credentials, authority and token are files at paths that it names, read again when they change.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::kind::RegistryKind;

/// What a surrogate is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The namespace of the `Registry`.
    pub namespace: String,
    /// The name of the `Registry`.
    pub registry: String,
    /// Where the API is served over TLS, with a certificate made at start.
    pub listen: SocketAddr,
    /// Where status and liveness are served over plain HTTP.
    pub status_listen: SocketAddr,
    /// The registry.
    pub upstream: UpstreamConfig,
    /// Who may come in.
    pub access: Access,
    /// The name of a socket in the abstract namespace where processes of the surrogate's own user come in, with every right: those of
    /// [`crate::session`]. Whoever may `exec` into the pod may do all that it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_socket: Option<String>,
    /// A file with the pod's UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid_file: Option<PathBuf>,
}

/// The registry behind a surrogate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamConfig {
    /// `host` or `host:port`, as dialled.
    pub host: String,
    /// What images are named with, where that is another name: docker configurations may know the registry by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_host: Option<String>,
    /// How it is dialled.
    pub scheme: Scheme,
    /// A file with PEM certificates to trust instead of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_file: Option<PathBuf>,
    /// A folder with the keys of a Secret as files: `.dockerconfigjson`, `.dockercfg`, `token`, or `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
    /// In which form blobs are sent to it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upload: UploadStrategy,
    /// What it is beside a registry of the distribution API.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: Kind,
    /// A URL where tokens are fetched, instead of where the registry says: there it may be named as it is known outside of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
}

/// What a registry is beside one of the distribution API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "name", deny_unknown_fields)]
pub enum Kind {
    /// Nothing else, or nothing that is to be known.
    #[default]
    Distribution,
    /// OpenShift's own.
    #[serde(rename_all = "camelCase")]
    OpenShift {
        /// The project whose ImageStreams are listed.
        project: String,
        /// What has the ImageStreams.
        api_server: ApiServer,
    },
    /// Harbor.
    Harbor,
}

impl Kind {
    /// Returns the kind where there is more to know of it.
    pub const fn registry_kind(&self) -> Option<RegistryKind> {
        match self {
            Self::Distribution => None,
            Self::OpenShift { .. } => Some(RegistryKind::OpenShift),
            Self::Harbor => Some(RegistryKind::Harbor),
        }
    }
}

/// The cluster's API server. Both files are read anew for each request, since they are rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiServer {
    /// Where it is, `https://kubernetes.default.svc`.
    pub address: String,
    /// A file with PEM certificates to trust for it.
    pub authority_file: PathBuf,
    /// A file with the token that is shown to it.
    pub token_file: PathBuf,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How a registry is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// TLS.
    Https,
}

/// In which form blobs are sent to a registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UploadStrategy {
    /// As the registry is known to take them, by its host or by what it refused; otherwise as `Monolithic`, or as `Stream` where
    /// digest or size of a blob are not known at first.
    #[default]
    Auto,
    /// By one `PUT` with its length. Uploads without digest or size are refused.
    Monolithic,
    /// By one `PATCH` without a length, and a `PUT` without a body.
    Stream,
    /// By a `PATCH` with `Content-Range` for each piece, and a `PUT` without a body.
    Chunked,
}

/// Who may come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "mode", deny_unknown_fields)]
pub enum Access {
    /// Bearers of a token of one of three ServiceAccounts of `namespace`.
    #[serde(rename_all = "camelCase")]
    Tokens {
        /// The API server, `https://kubernetes.default.svc`: its `/openid/v1/jwks` holds the keys.
        api_server: String,
        /// A file with PEM certificates to trust for it.
        api_server_authority_file: PathBuf,
        /// A file with a token to fetch the keys by.
        api_server_token_file: PathBuf,
        /// The audience that a token must be for.
        audience: String,
        /// The namespace of the ServiceAccounts.
        service_account_namespace: String,
        /// The ServiceAccounts whose tokens let pull, push and administer.
        service_accounts: ServiceAccounts,
    },
    /// Anyone who can connect, with every right. Refused unless both addresses are loopback ones.
    Loopback,
}

/// The ServiceAccounts of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccounts {
    /// May read.
    pub pull: String,
    /// May write.
    pub push: String,
    /// May delete.
    pub admin: String,
}
