//! The configuration of a surrogate.

use std::{collections::BTreeMap, net::SocketAddr};

use k8s_openapi::api::core::v1::ConfigMap;
use reposure_api::{
    Registry, RegistryKind, RegistryScheme, SurrogateNames, Target, UploadStrategy as Wished,
};
use reposure_parcel::{
    config::{Access, ApiServer, Config, Kind, Scheme, ServiceAccounts, UploadStrategy, UpstreamConfig},
    session, wire,
};
use sha2::{Digest as _, Sha256};

use super::{
    standalone::kept,
    surrogate::{Settings, metadata},
    volumes,
};

/// The API server, as every pod can name it.
const API_SERVER: &str = "https://kubernetes.default.svc";
/// The key of the configuration.
const CONFIG_KEY: &str = "config.json";

/// Returns the configuration of the surrogate of `registry`, which is at `target`, and whose images are named with `image_host`.
pub(crate) fn config(registry: &Registry, target: &Target, image_host: &str, settings: &Settings) -> Config {
    let name = registry.metadata.name.clone().unwrap_or_default();
    let namespace = registry.metadata.namespace.clone().unwrap_or_default();
    let scheme = match registry.spec.scheme(target) {
        RegistryScheme::Http => Scheme::Http,
        RegistryScheme::Https => Scheme::Https,
    };
    let port = registry.spec.surrogate_port.unwrap_or(wire::PORT);
    Config {
        listen: SocketAddr::new(settings.listen, port),
        status_listen: SocketAddr::new(settings.listen, wire::STATUS_PORT),
        upstream: UpstreamConfig {
            host: target.dial_host(),
            image_host: other_name(registry, target, image_host),
            scheme,
            authority_file: registry.spec.authority().map(|_| volumes::AUTHORITY_FILE.into()),
            credentials: registry.spec.credentials().map(|_| volumes::CREDENTIALS.into()),
            upload: upload_strategy(registry.spec.upload),
            kind: kind(registry.spec.registry_kind(), &namespace),
            realm: registry.spec.realm().map(Into::into),
        },
        access: access(&namespace, &name),
        session_socket: Some(session::SOCKET.into()),
        pod_uid_file: Some(volumes::POD_UID_FILE.into()),
        namespace,
        registry: name,
    }
}

/// Returns `image_host` where credentials may be for that name. Others need no pod of their own when a Service changes its address.
fn other_name(registry: &Registry, target: &Target, image_host: &str) -> Option<String> {
    let is_another = image_host != target.dial_host();
    (registry.spec.credentials().is_some() && is_another).then(|| image_host.into())
}

/// Returns how blobs go to a registry that is wished for so.
pub const fn upload_strategy(wished: Option<Wished>) -> UploadStrategy {
    match wished {
        None | Some(Wished::Auto) => UploadStrategy::Auto,
        Some(Wished::Monolithic) => UploadStrategy::Monolithic,
        Some(Wished::Stream) => UploadStrategy::Stream,
        Some(Wished::Chunked) => UploadStrategy::Chunked,
    }
}

/// Returns what the surrogate has to know of a registry of this kind, whose `Registry` is in `namespace`.
fn kind(known: Option<RegistryKind>, namespace: &str) -> Kind {
    match known {
        None => Kind::Distribution,
        // A project is a namespace.
        Some(RegistryKind::OpenShift) => {
            Kind::OpenShift { project: namespace.into(), api_server: api_server() }
        }
        Some(RegistryKind::Harbor) => Kind::Harbor,
    }
}

fn api_server() -> ApiServer {
    ApiServer {
        address: API_SERVER.into(),
        authority_file: volumes::API_AUTHORITY_FILE.into(),
        token_file: volumes::TOKEN_FILE.into(),
    }
}

fn access(namespace: &str, name: &str) -> Access {
    let names = SurrogateNames::new(name);
    Access::Tokens {
        api_server: API_SERVER.into(),
        api_server_authority_file: volumes::API_AUTHORITY_FILE.into(),
        api_server_token_file: volumes::TOKEN_FILE.into(),
        audience: wire::audience(namespace, name),
        service_account_namespace: namespace.into(),
        service_accounts: ServiceAccounts {
            pull: names.pull_account(),
            push: names.push_account(),
            admin: names.admin_account(),
        },
    }
}

/// Returns the ConfigMap with `config`, and with the registry itself where the command line tool keeps it.
pub(crate) fn config_map(registry: &Registry, config: &Config, settings: &Settings) -> ConfigMap {
    let names = SurrogateNames::new(&config.registry);
    let mut data = BTreeMap::from([(CONFIG_KEY.into(), text(config))]);
    data.extend(kept(registry, settings));
    ConfigMap {
        metadata: metadata(registry, names.config_map(), settings),
        data: Some(data),
        ..ConfigMap::default()
    }
}

/// Returns what the pod is annotated with, so that another configuration is another pod.
pub(crate) fn hash(config: &Config) -> String {
    let digest = Sha256::digest(text(config));
    digest.iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn text(config: &Config) -> String {
    serde_json::to_string_pretty(config)
        .expect("a configuration is plain data: strings, addresses and UTF-8 paths")
}
