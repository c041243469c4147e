//! What a gate is told.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

use clap::Args;
use reposure_parcel::gate::{HEALTH_PORT, REGISTRY_PORT};

/// The port that registries of ours have.
const PORT: u16 = 5000;

/// Where a gate listens and what it asks for. The registry behind it is on loopback always: whoever may start a gate in a pod gets
/// nowhere that he could not get anyway.
#[derive(Clone, Debug, Args)]
pub struct GateOptions {
    /// Where to listen for clients, by default on port 5000 of all addresses
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where to listen for the kubelet, by default on port 5002 of all addresses
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub health: Option<SocketAddr>,
    /// The port of the registry on loopback
    #[arg(long, value_name = "PORT", default_value_t = REGISTRY_PORT)]
    pub registry_port: u16,
    /// The folder with tls.crt, tls.key and, where others trust what it says, ca.crt; without it, plain HTTP is spoken
    #[arg(long, value_name = "FOLDER")]
    pub tls: Option<PathBuf>,
    /// The folder with htpasswd and htpasswd-pull; without it, nobody is asked for a password
    #[arg(long, value_name = "FOLDER")]
    pub users: Option<PathBuf>,
}

impl GateOptions {
    pub(super) fn listen_address(&self) -> SocketAddr {
        self.listen.unwrap_or_else(|| everywhere(PORT))
    }

    pub(super) fn health_address(&self) -> SocketAddr {
        self.health.unwrap_or_else(|| everywhere(HEALTH_PORT))
    }
}

/// All addresses of this machine, which may have none of IPv6, or none but those.
fn everywhere(port: u16) -> SocketAddr {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
        Err(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
    }
}
