//! The users of the built-in registry, where nobody has named others.

use std::{collections::BTreeMap, net::IpAddr};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use k8s_openapi::api::core::v1::Secret;
use reposure_api::names::{SIMPLE, SIMPLE_AUTHORIZATION, SIMPLE_HTPASSWD, SIMPLE_PORT, SIMPLE_PULL};
use reposure_parcel::gate::{PULL_USERS_FILE, USERS_FILE};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::{super::Step, options::metadata};

/// The longest name of a user.
const NAME: usize = 64;
/// The cost of a hash: Go's usual one, some 50 ms. What is random needs no more.
const COST: u32 = 10;
/// How many random bytes a password has.
const PASSWORD: usize = 24;
/// What stands behind the name of the user who may but pull.
const PULL_SUFFIX: &str = "-pull";

/// Why users could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The name cannot be one of a user.
    #[error("a user's name has 1 to {NAME} letters, digits, dots, dashes and underscores")]
    Name,
    /// The system has no randomness.
    #[error("a password cannot be hashed")]
    Hash(#[source] bcrypt::BcryptError),
}

/// A user who may do everything, and the steps that let him in.
#[derive(Debug)]
pub struct SimplePasswords {
    /// His name.
    pub username: String,
    /// His password.
    pub password: SecretString,
    /// The steps, the last of which lets him in: a part of them can be done again from the start.
    pub steps: Vec<Step>,
}

/// Makes a user `username` who may do everything, and `username-pull`, who may but pull, with random passwords: the Secrets
/// `reposure-simple-authorization` and `reposure-simple-pull` (each a `kubernetes.io/dockerconfigjson`, for a surrogate's credentials and
/// for `imagePullSecrets`) for the Service in `namespace` by its names and its `addresses`, and `reposure-simple-htpasswd` with the hashes.
///
/// # Errors
/// [`PasswordError`] if the name is none, or the system has no randomness.
pub fn simple_passwords(
    namespace: &str,
    username: &str,
    addresses: &[IpAddr],
) -> Result<SimplePasswords, PasswordError> {
    check(username)?;
    let hosts = hosts(namespace, addresses);
    let pull_user = format!("{username}{PULL_SUFFIX}");
    let (password, pull_password) = (random(), random());
    let htpasswd = Secret {
        metadata: metadata(namespace, SIMPLE_HTPASSWD),
        string_data: Some(BTreeMap::from([
            (USERS_FILE.into(), line(username, &password)?),
            (PULL_USERS_FILE.into(), line(&pull_user, &pull_password)?),
        ])),
        ..Secret::default()
    };
    let steps = [
        docker_config(namespace, SIMPLE_AUTHORIZATION, &hosts, username, &password),
        docker_config(namespace, SIMPLE_PULL, &hosts, &pull_user, &pull_password),
        htpasswd,
    ];
    let steps = steps.into_iter().map(|secret| Step::Apply(secret.into())).collect();
    Ok(SimplePasswords { username: username.into(), password, steps })
}

fn check(username: &str) -> Result<(), PasswordError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_name = (1..=NAME).contains(&username.len()) && username.bytes().all(is_plain);
    if is_name { Ok(()) } else { Err(PasswordError::Name) }
}

fn random() -> SecretString {
    let bytes: [u8; PASSWORD] = rand::random();
    URL_SAFE_NO_PAD.encode(bytes).into()
}

fn line(user: &str, password: &SecretString) -> Result<String, PasswordError> {
    let hash = bcrypt::hash(password.expose_secret(), COST).map_err(PasswordError::Hash)?;
    Ok(format!("{user}:{hash}\n"))
}

/// Everything that the registry may be called in the cluster.
fn hosts(namespace: &str, addresses: &[IpAddr]) -> Vec<String> {
    let full = format!("{SIMPLE}.{namespace}");
    let names = [SIMPLE.into(), full.clone(), format!("{full}.svc"), format!("{full}.svc.cluster.local")];
    let addresses = addresses.iter().map(|address| match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    });
    addresses.chain(names).map(|host| format!("{host}:{SIMPLE_PORT}")).collect()
}

fn docker_config(
    namespace: &str,
    name: &str,
    hosts: &[String],
    user: &str,
    password: &SecretString,
) -> Secret {
    let password = password.expose_secret();
    let auth = STANDARD.encode(format!("{user}:{password}"));
    let entry = json!({"username": user, "password": password, "auth": auth});
    let auths: Map<String, Value> = hosts.iter().map(|host| (host.clone(), entry.clone())).collect();
    let text = json!({"auths": auths}).to_string();
    Secret {
        metadata: metadata(namespace, name),
        type_: Some("kubernetes.io/dockerconfigjson".into()),
        string_data: Some(BTreeMap::from([(".dockerconfigjson".into(), text)])),
        ..Secret::default()
    }
}
