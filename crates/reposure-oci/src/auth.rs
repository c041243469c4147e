//! Authentication at a registry: credentials, challenges, and tokens.
//!
//! A registry that wants to know who asks answers 401 with challenges. `Basic` is met with name and password, `Bearer` with
//! a token that the challenge's realm gives for them, one for each scope. See the
//! [token specification](https://distribution.github.io/distribution/spec/auth/token/).
//!
//! # Guarantees
//! Credentials go to the registry, or to a realm that [`RealmRefusal`] has nothing against; nothing here shows a secret in
//! `Debug`.

mod authenticator;
mod cache;
mod challenge;
mod content;
mod credentials;
mod docker_config;
mod error;
mod exchange;
mod folder;
mod helper;
mod realm;
mod refreshed;
mod rotation;
mod scope;
mod secret;
mod source;
mod user;

pub use authenticator::Authenticator;
pub use challenge::Challenge;
pub use credentials::Credentials;
pub use docker_config::{DockerConfig, DockerConfigError};
pub use error::AuthError;
pub use folder::CredentialsFolder;
pub use helper::HelperError;
pub use realm::RealmRefusal;
pub(crate) use realm::{is_local_address, is_localhost};
pub use scope::{Scope, Scopes};
pub use secret::SecretCredentials;
pub use source::{CredentialsError, CredentialsSource, FixedCredentials};
pub use user::UserCredentials;
