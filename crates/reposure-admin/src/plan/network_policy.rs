//! Who may reach the pods that are made here, and whom they may reach.
//!
//! A surrogate is reached by the API server and the operator, the built-in registry by nodes. The addresses of API servers and nodes are
//! unknown, and of many networks no pods', so the ports are open to everybody that tokens, TLS or passwords protect; all others are
//! closed. A policy sees a connection behind its Service, where it has another address and often another port.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use reposure_api::{
    Registry, SurrogateNames, Target,
    labels::{Application, selector},
    names::SIMPLE_PORT,
};
use reposure_parcel::{
    config::{Config, Scheme},
    gate, wire,
};

use super::{
    exec_policy::NAMESPACE_NAME,
    simple::{S3, SimpleOptions, Storage},
    surrogate::{Settings, metadata},
};

/// Where DNS is: 53, and 5353 where OpenShift's pods of DNS have it.
const DNS: [u16; 2] = [53, 5353];
/// Where API servers are: 443 of most managed clusters, 6443 of kubeadm and most others, 8443 of minikube, 16443 of MicroK8s.
///
/// The first is also where registries in the open send their clients for tokens, and for blobs.
const API_SERVERS: [u16; 4] = [443, 6443, 8443, 16443];
/// From where clouds give a pod its rights: link-local addresses, by plain HTTP.
const CLOUD_RIGHTS: (&str, u16) = ("169.254.0.0/16", 80);

/// Returns the policy of the surrogate of `registry`, which is at `target`.
pub(crate) fn of_surrogate(
    registry: &Registry,
    target: &Target,
    config: &Config,
    settings: &Settings,
) -> NetworkPolicy {
    let name = SurrogateNames::new(&config.registry);
    policy(
        metadata(registry, name.stateful_set(), settings),
        (Application::Surrogate, Some(&config.registry)),
        &[config.listen.port(), wire::STATUS_PORT],
        vec![dns(), to_anywhere(&API_SERVERS), to_registry(target, config.upstream.scheme)],
    )
}

/// Returns the policy of the built-in registry.
pub(crate) fn of_simple(options: &SimpleOptions, metadata: ObjectMeta) -> NetworkPolicy {
    let ports: &[u16] = if options.has_gate() { &[SIMPLE_PORT, gate::HEALTH_PORT] } else { &[SIMPLE_PORT] };
    let egress = match &options.storage {
        Storage::Ephemeral | Storage::Claim { .. } => Vec::new(),
        Storage::S3(s3) => to_store(s3),
    };
    policy(metadata, (Application::Simple, None), ports, egress)
}

fn policy(
    metadata: ObjectMeta,
    (application, instance): (Application, Option<&str>),
    open: &[u16],
    egress: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata,
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(selector(application, instance)),
                match_expressions: None,
            }),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(vec![NetworkPolicyIngressRule { ports: Some(tcp(open)), from: None }]),
            egress: Some(egress),
        }),
    }
}

fn dns() -> NetworkPolicyEgressRule {
    let ports = DNS.into_iter().flat_map(|number| ["UDP", "TCP"].map(|protocol| port(protocol, number)));
    NetworkPolicyEgressRule { ports: Some(ports.collect()), to: None }
}

fn to_anywhere(ports: &[u16]) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule { ports: Some(tcp(ports)), to: None }
}

fn to_block(cidr: String, number: u16) -> NetworkPolicyEgressRule {
    let peer =
        NetworkPolicyPeer { ip_block: Some(IPBlock { cidr, except: None }), ..NetworkPolicyPeer::default() };
    NetworkPolicyEgressRule { ports: Some(tcp(&[number])), to: Some(vec![peer]) }
}

/// Lets through to the pods of the Service's namespace, on whatever port they have; or to a host's port.
fn to_registry(target: &Target, scheme: Scheme) -> NetworkPolicyEgressRule {
    match target {
        Target::Service { namespace, .. } => {
            let labels = [(NAMESPACE_NAME.into(), namespace.clone())];
            let selector = LabelSelector { match_labels: Some(labels.into()), match_expressions: None };
            let peer =
                NetworkPolicyPeer { namespace_selector: Some(selector), ..NetworkPolicyPeer::default() };
            NetworkPolicyEgressRule { ports: None, to: Some(vec![peer]) }
        }
        Target::Direct { host } => to_host(host, if scheme == Scheme::Https { 443 } else { 80 }),
    }
}

/// Lets through to `host`, at `port` unless it names one. A name may have any address.
fn to_host(host: &str, port: u16) -> NetworkPolicyEgressRule {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let (address, number) = match (host.parse::<SocketAddr>(), plain.parse::<IpAddr>()) {
        (Ok(socket), _) => (Some(socket.ip()), socket.port()),
        (_, Ok(address)) => (Some(address), port),
        _ => (None, host.rsplit_once(':').and_then(|(_, number)| number.parse().ok()).unwrap_or(port)),
    };
    match address {
        Some(IpAddr::V4(address)) => to_block(format!("{address}/32"), number),
        Some(IpAddr::V6(address)) => to_block(format!("{address}/128"), number),
        None => to_anywhere(&[number]),
    }
}

fn to_store(s3: &S3) -> Vec<NetworkPolicyEgressRule> {
    let (scheme, rest) =
        s3.endpoint.as_deref().and_then(|url| url.split_once("://")).unwrap_or(("https", ""));
    let host = rest.split('/').next().unwrap_or_default();
    let mut rules = vec![dns(), to_host(host, if scheme == "http" { 80 } else { 443 })];
    if s3.secret.is_none() {
        let (cidr, number) = CLOUD_RIGHTS;
        rules.extend([to_block(cidr.into(), number), to_anywhere(&[443])]);
    }
    rules
}

fn tcp(numbers: &[u16]) -> Vec<NetworkPolicyPort> {
    numbers.iter().map(|number| port("TCP", *number)).collect()
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.into()),
        port: Some(IntOrString::Int(number.into())),
        end_port: None,
    }
}
