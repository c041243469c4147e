//! Reaching registries that no surrogate is beside, as whoever the user is there.

mod credentials;

use std::{fmt, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use reposure_oci::{
    DirectOptions, DirectTransport, Place, Scheme, TrustAnchors,
    direct::{Cause, DirectError},
    place::RemoteName,
    registry::{Client, Failure as Reason},
};

use crate::{
    exit::{Failure, Kind},
    place,
};
pub(crate) use credentials::TellingCredentials;

/// How the options end that say how to reach a registry.
pub(crate) const PLAIN_HTTP: &str = "plain-http";
pub(crate) const AUTHORITY: &str = "ca";

/// What options say of a registry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach<'a> {
    /// By plain HTTP.
    pub(crate) plain_http: bool,
    /// By these certificates alone.
    pub(crate) authority: Option<&'a Path>,
}

/// Which end of a push or pull a registry is; options about it begin so.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Source,
    Target,
}

impl Side {
    /// Returns an option about the registry there: `--source-ca`.
    pub(crate) fn option(self, name: &str) -> String {
        match self {
            Self::Source => format!("--source-{name}"),
            Self::Target => format!("--target-{name}"),
        }
    }

    const fn argument(self) -> &'static str {
        match self {
            Self::Source => "SOURCE",
            Self::Target => "TARGET",
        }
    }

    fn describe(self, place: &Place) -> String {
        match (self, place) {
            (Self::Target, Place::Standard) => "standard output".into(),
            _ => place::describe(place),
        }
    }
}

/// What was being done at a registry: the context of an error, which tells for which end the options are that may help.
#[derive(Clone, Debug)]
pub(crate) struct At {
    pub(crate) side: Side,
    pub(crate) doing: String,
}

impl fmt::Display for At {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.doing)
    }
}

impl Reach<'_> {
    /// Refuses options where `place` is not in a registry: they would say nothing, and whoever gives them means something else.
    pub(crate) fn check(self, side: Side, place: &Place) -> Result<(), Failure> {
        let given = self.plain_http.then_some(PLAIN_HTTP).or_else(|| self.authority.map(|_| AUTHORITY));
        match given {
            Some(given) if !matches!(place, Place::Registry(_)) => {
                let (option, argument, place) = (side.option(given), side.argument(), side.describe(place));
                let message = format!("{option} is for a {argument} registry:HOST/NAME, and {place} is none");
                Err(Failure::new(Kind::Usage, message).hint("leave it out"))
            }
            _ => Ok(()),
        }
    }
}

/// Prepares connections to the registry of an image. By plain HTTP only where that is asked for, or where a registry on this machine
/// speaks no TLS.
pub(crate) async fn client(name: &RemoteName, reach: Reach<'_>) -> Result<Client<DirectTransport>> {
    let credentials = Arc::new(TellingCredentials::of_host(name.host()));
    let connect = |scheme, trust| connect(name, scheme, trust, credentials.clone());
    if reach.plain_http {
        return connect(Scheme::Http, TrustAnchors::System);
    }
    if let Some(path) = reach.authority {
        let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let connected = connect(Scheme::Https, TrustAnchors::Pem(pem));
        return connected.with_context(|| format!("cannot use {}", path.display()));
    }
    let client = connect(Scheme::Https, TrustAnchors::System)?;
    if name.is_loopback() && speaks_plain_http(&client).await {
        return connect(Scheme::Http, TrustAnchors::System);
    }
    Ok(client)
}

fn connect(
    name: &RemoteName,
    scheme: Scheme,
    trust: TrustAnchors,
    credentials: Arc<TellingCredentials>,
) -> Result<Client<DirectTransport>> {
    let mut options = DirectOptions::new(name.endpoint(scheme));
    options.trust = trust;
    options.credentials = credentials;
    Ok(Client::new(DirectTransport::new(options)?))
}

/// Tells whether TLS fails, as it does with a registry that was started for a try. Nothing of this leaves the machine.
async fn speaks_plain_http(client: &Client<DirectTransport>) -> bool {
    let ping = client.ping().await;
    let of = |error: &Reason| match error {
        Reason::Transport(error) => error.source.downcast_ref::<DirectError>().map(|error| error.cause),
        _ => None,
    };
    ping.is_err_and(|error| of(&error.failure) == Some(Cause::Tls))
}
