//! `reposure registry info NAME host|username|password|token|cert`

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt as _;
use reposure_admin::Verb;
use reposure_api::{
    Registry, SurrogateNames,
    target::{self, Authority},
};
use reposure_oci::auth::{Credentials, DockerConfig};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{
    connect,
    context::{Cluster, Context},
    exit::{Failure, Kind},
    output, service_account, standalone,
};

/// Print a fact of a registry, for scripts
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The name
    name: String,
    /// The fact
    fact: Fact,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Fact {
    /// What pods put before an image's name
    Host,
    /// The user, of the credentials
    Username,
    /// The password, of the credentials
    Password,
    /// The token, of the credentials
    Token,
    /// The certificate to trust
    Cert,
}

pub(super) async fn run(context: &Context, args: &InfoArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let mut registry = connect::find(&cluster, &args.name).await?;
    standalone::look_at(context, &cluster, &mut registry).await;
    let value = match args.fact {
        Fact::Host => registry.status.as_ref().and_then(|status| status.host.clone()),
        Fact::Cert => certificate(&cluster, &registry).await?,
        Fact::Username | Fact::Password | Fact::Token => credential(&cluster, &registry, args.fact).await?,
    };
    let value = value.ok_or_else(|| missing(&registry, args.fact))?;
    let data = BTreeMap::from([(format!("{:?}", args.fact).to_lowercase(), &value)]);
    output::fact(context.format(), &data, value.trim_end())
}

fn missing(registry: &Registry, fact: Fact) -> Failure {
    let what = format!("{fact:?}").to_lowercase();
    let failure = Failure::new(Kind::NotFound, format!("registry {} has no {what}", registry.name_any()));
    if matches!(fact, Fact::Host) {
        failure.hint("wait until it is ready: reposure registry describe")
    } else {
        failure
    }
}

async fn certificate(cluster: &Cluster, registry: &Registry) -> Result<Option<String>> {
    Ok(match registry.spec.authority() {
        None => None,
        Some(Authority::Secret { name, key }) => {
            let data = secret(cluster, name).await?;
            data.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        }
        Some(Authority::ConfigMap { name, key }) => {
            let map = cluster.api::<ConfigMap>().get(name).await;
            let map = map.map_err(|error| cluster.failed::<ConfigMap>(Verb::Get, name, error));
            map.context("cannot read what the registry names")?.data.and_then(|mut data| data.remove(key))
        }
    })
}

/// Reads the credentials with the caller's own right to the Secret.
async fn credential(cluster: &Cluster, registry: &Registry, fact: Fact) -> Result<Option<String>> {
    let name = match registry.spec.credentials() {
        None => return Ok(None),
        Some(target::Credentials::ServiceAccount) => return of_surrogate(cluster, registry, fact).await,
        Some(target::Credentials::Secret { name }) => name,
    };
    let data = secret(cluster, name).await?;
    let text = |key: &str| data.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let (username, password, token) = match of_docker(registry, &data)? {
        Some(Credentials::Basic { username, password }) => {
            (Some(username), Some(password.expose_secret().to_owned()), None)
        }
        Some(Credentials::Bearer(token) | Credentials::IdentityToken { token, .. }) => {
            (None, None, Some(token.expose_secret().to_owned()))
        }
        Some(Credentials::Anonymous) | None => (text("username"), text("password"), text("token")),
    };
    Ok(match fact {
        Fact::Username => username,
        Fact::Password => password,
        Fact::Token => token,
        Fact::Host | Fact::Cert => None,
    })
}

/// Asks for a token of the surrogate's own ServiceAccount, which goes as a password for any user, too.
async fn of_surrogate(cluster: &Cluster, registry: &Registry, fact: Fact) -> Result<Option<String>> {
    let account = SurrogateNames::new(&registry.name_any()).service_account().to_owned();
    if matches!(fact, Fact::Username) {
        return Ok(Some(account));
    }
    let token = service_account::token(cluster, &account).await?;
    Ok(Some(token.expose_secret().to_owned()))
}

fn of_docker(registry: &Registry, data: &BTreeMap<String, Vec<u8>>) -> Result<Option<Credentials>> {
    let config = match (data.get(".dockerconfigjson"), data.get(".dockercfg")) {
        (Some(bytes), _) => DockerConfig::from_docker_config_json(bytes)?,
        (None, Some(bytes)) => DockerConfig::from_docker_cfg(bytes)?,
        (None, None) => return Ok(None),
    };
    let target = registry.spec.target(&registry.namespace().unwrap_or_default()).ok();
    for host in connect::direct::docker_hosts(registry, target.as_ref()) {
        if let Some(found) = config.find(&host, None)? {
            return Ok(Some(found));
        }
    }
    // One of several would be somebody else's.
    let mut known = config.hosts();
    match (known.next(), known.next()) {
        (Some(only), None) => Ok(config.find(only, None)?),
        _ => Ok(None),
    }
}

async fn secret(cluster: &Cluster, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let secret = cluster.api::<Secret>().get(name).await;
    let secret = secret.map_err(|error| cluster.failed::<Secret>(Verb::Get, name, error));
    let secret = secret.context("cannot read what the registry names")?;
    Ok(secret.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect())
}
