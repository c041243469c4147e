//! The client against real registries, as child processes: CNCF Distribution 3, and Distribution 2.8 as Debian has it.
//!
//! One suite of all operations, run with each way to come in.

mod cuts;
mod process;
mod suite;
mod token;

use std::sync::Arc;

use reposure_oci::{
    DirectOptions, DirectTransport, Endpoint, Scheme, TrustAnchors,
    auth::{Credentials, FixedCredentials},
    direct::ClientIdentity,
    registry::Client,
};

use crate::fixture::{basic, limits};
use process::{Registry, Settings, Version};
use suite::Suite;
use token::TokenServer;

/// `ann:hush` as htpasswd has it, by bcrypt at the lowest cost.
const HTPASSWD: &str = "ann:$2b$04$abcdefghijklmnopqrstuuppZFpU9n.F.R29ic//YRPBUgRHbgy9m\n";

fn client(registry: &Registry, change: impl FnOnce(&mut DirectOptions)) -> Client<DirectTransport> {
    client_at(&registry.host(), registry, change)
}

/// Makes a client of a registry that is reached by another address.
fn client_at(
    host: &str,
    registry: &Registry,
    change: impl FnOnce(&mut DirectOptions),
) -> Client<DirectTransport> {
    let scheme = if registry.authority().is_some() { Scheme::Https } else { Scheme::Http };
    let mut options = DirectOptions::new(Endpoint::new(scheme, host).unwrap());
    if let Some(pem) = registry.authority() {
        options.trust = TrustAnchors::Pem(pem.into());
    }
    change(&mut options);
    Client::with_limits(DirectTransport::new(options).unwrap(), limits())
}

fn credentials(credentials: Credentials) -> Arc<FixedCredentials> {
    Arc::new(credentials.into())
}

async fn open(version: Version) {
    let registry = Registry::start(version, Settings::default()).await;
    Suite::new(version, client(&registry, |_| {})).run().await;
}

async fn htpasswd(version: Version) {
    let registry =
        Registry::start(version, Settings { htpasswd: Some(HTPASSWD), ..Settings::default() }).await;
    let error = client(&registry, |_| {}).ping().await.unwrap_err();
    assert!(error.is_denied(), "{error}: {}", error.failure);
    let client = client(&registry, |options| options.credentials = credentials(basic()));
    Suite::new(version, client).run().await;
}

async fn tokens(version: Version) {
    let server = TokenServer::start().await;
    let registry = Registry::start(version, Settings { tokens: Some(&server), ..Settings::default() }).await;
    let identity = Credentials::IdentityToken { username: "ann".into(), token: token::IDENTITY.into() };
    for (known, posts) in [(basic(), false), (identity, true)] {
        let client = client(&registry, |options| {
            options.credentials = credentials(known);
            // The realm that the registry names is at another port of the machine, where nothing is sent by itself.
            options.realm = Some(server.realm());
        });
        Suite::new(version, client).run().await;
        assert_eq!(server.take_posts() > 0, posts);
    }
    let anonymous = client(&registry, |options| options.realm = Some(server.realm()));
    assert!(anonymous.catalog().await.unwrap_err().is_denied());
}

async fn tls(version: Version) {
    let registry = Registry::start(version, Settings { tls: true, ..Settings::default() }).await;
    Suite::new(version, client(&registry, |_| {})).run().await;
    let untrusting = client(&registry, |options| options.trust = TrustAnchors::System);
    assert!(!untrusting.ping().await.unwrap_err().is_transient());
}

async fn client_certificates(version: Version) {
    let registry =
        Registry::start(version, Settings { tls: true, client_tls: true, ..Settings::default() }).await;
    client(&registry, |_| {}).ping().await.unwrap_err();
    let (certificate, key) = registry.client_identity();
    let identity = ClientIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert!(!format!("{identity:?}").contains("PRIVATE"));
    let client = client(&registry, |options| options.identity = Some(identity));
    Suite::new(version, client).run().await;
}

async fn cuts(version: Version) {
    let registry = Registry::start(version, Settings::default()).await;
    cuts::run(version, &registry).await;
}

macro_rules! with_each {
    ($($name:ident)*) => {
        mod distribution_2 {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Version::Two).await;
            })*
        }

        mod distribution_3 {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Version::Three).await;
            })*
        }
    };
}

with_each! { open htpasswd tokens tls client_certificates cuts }
