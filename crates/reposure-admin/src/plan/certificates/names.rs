//! What a certificate is for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reposure_api::names::SIMPLE;

/// The name by which a forwarded port is reached.
const LOCALHOST: &str = "localhost";

/// The names and addresses that a certificate of the built-in registry is for: those of its Service, and those by which a forwarded
/// port is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateNames {
    pub(super) namespace: String,
    pub(super) hosts: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
}

impl CertificateNames {
    /// Returns those of the Service in `namespace` that has these `addresses` in the cluster.
    pub fn new(namespace: &str, addresses: &[IpAddr]) -> Self {
        let host = format!("{SIMPLE}.{namespace}");
        let hosts = vec![
            SIMPLE.into(),
            host.clone(),
            format!("{host}.svc"),
            format!("{host}.svc.cluster.local"),
            LOCALHOST.into(),
        ];
        let own = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let addresses = addresses.iter().copied().chain(own).collect();
        Self { namespace: namespace.into(), hosts, addresses }
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the names of the Service alone.
    pub(super) fn of_service(&self) -> impl Iterator<Item = &String> {
        self.hosts.iter().filter(|host| *host != LOCALHOST)
    }

    /// Returns the names.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Returns the addresses.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }
}
