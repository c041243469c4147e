//! The registry, and the hosts that it sends us to.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::{Request, Response};

use super::{
    client::HttpClient,
    peer::PeerCertificate,
    tls::{ClientIdentity, TlsError, TrustAnchors},
};
use crate::{
    endpoint::Endpoint,
    transport::{Body, Transport, TransportError},
};

/// Sends requests with absolute URIs: to the registry trusting its own authority only, elsewhere trusting the system too.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    endpoint: Endpoint,
    registry: HttpClient,
    elsewhere: HttpClient,
}

impl Clients {
    pub(crate) fn new(
        endpoint: &Endpoint,
        trust: &TrustAnchors,
        identity: Option<&ClientIdentity>,
        peer: Option<&Arc<PeerCertificate>>,
        answer_limit: Duration,
    ) -> Result<Self, TlsError> {
        let client = |tls, hop| HttpClient::new(tls, endpoint.scheme(), answer_limit, hop);
        Ok(Self {
            endpoint: endpoint.clone(),
            registry: client(trust.config(identity, peer)?, "registry"),
            elsewhere: client(trust.config_elsewhere()?, "host that the registry names"),
        })
    }
}

impl Transport for Clients {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        let own = self.endpoint.is_origin_of(request.uri());
        if own { self.registry.send(request) } else { self.elsewhere.send(request) }
    }
}
