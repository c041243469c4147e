//! The API server, as far as it has ImageStreams.

use std::{convert::Infallible, future::ready, io, net::SocketAddr, sync::Arc};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::{Cluster, streams};
use crate::registry::{answer::Answer, shared::Shared, tls::Identity};

/// An API server that listens, over TLS, until it is dropped. What it is asked is in the registry's log.
#[derive(Debug)]
pub struct ImageStreamApi {
    address: SocketAddr,
    authority: String,
    task: AbortHandle,
}

impl ImageStreamApi {
    pub(crate) async fn start(cluster: Cluster, shared: Arc<Shared>) -> io::Result<Self> {
        let listener = TcpListener::bind((shared.address.ip(), 0)).await?;
        let address = listener.local_addr()?;
        let Identity { acceptor, authority, .. } = Identity::new(address, &[])?;
        let task = tokio::spawn(accept(listener, acceptor, cluster, shared)).abort_handle();
        Ok(Self { address, authority, task })
    }

    /// Returns where it listens: at the registry's address, on a port of its own.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `https://host:port`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Returns the PEM of the authority.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl Drop for ImageStreamApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    cluster: Cluster,
    shared: Arc<Shared>,
) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let (acceptor, cluster, shared) = (acceptor.clone(), cluster.clone(), Arc::clone(&shared));
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service =
                    service_fn(|request| ready(Ok::<_, Infallible>(answer(&cluster, &shared, &request))));
                // A connection that breaks is the test's doing.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
        while connections.try_join_next().is_some() {}
    }
}

fn answer(cluster: &Cluster, shared: &Shared, request: &Request<Incoming>) -> Answer {
    let number = shared.log.begin(request);
    let answer = streams::answer(cluster, shared, request);
    shared.log.answered(number, answer.status());
    answer
}
