//! Connections on which HTTP/1.1 is spoken, or HTTP/2 where what stands before the API server speaks nothing else.
//!
//! One connection of HTTP/2 is slower than several of HTTP/1.1, and gives no streams to exec, so it is not what is offered first: TLS refuses
//! by an alert of its own where nothing that is offered is spoken. See [RFC 7301](https://www.rfc-editor.org/rfc/rfc7301#section-3.2).

use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use http::Uri;
use hyper::rt;
use hyper_rustls::{
    DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, MaybeHttpsStream, ResolveServerName,
};
use hyper_util::client::legacy::connect::Connection;
use kube::{Config, client::ConfigExt as _};
use reposure_oci::transport::BoxError;
use rustls::{AlertDescription, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::time::timeout;
use tower::{Service, ServiceExt as _};

use super::api_server::CONNECT_DEADLINE;

/// The deadline for a connection on which HTTP can be spoken: as long for a proxy's answer and for TLS as for TCP.
const DEADLINE: Duration = CONNECT_DEADLINE.saturating_mul(2);

/// Connects to an API server.
#[derive(Clone, Debug)]
pub(super) struct Negotiated<C> {
    http1: HttpsConnector<C>,
    http2: HttpsConnector<C>,
    /// Whether HTTP/1.1 was refused.
    is_http2: Arc<AtomicBool>,
}

impl<C: Clone> Negotiated<C> {
    /// Takes what connects by TCP.
    ///
    /// # Errors
    /// When certificates of the kubeconfig cannot be used.
    pub(super) fn new(config: &Config, tcp: C) -> Result<Self, BoxError> {
        let tls = config.rustls_client_config()?;
        let names: Arc<dyn ResolveServerName + Send + Sync> = match &config.tls_server_name {
            Some(name) => Arc::new(FixedServerNameResolver::new(ServerName::try_from(name.clone())?)),
            None => Arc::new(DefaultServerNameResolver::default()),
        };
        let connector = |protocol: &[u8]| {
            let mut tls = ClientConfig::clone(&tls);
            tls.alpn_protocols = vec![protocol.to_vec()];
            HttpsConnector::new(tcp.clone(), tls, false, names.clone())
        };
        Ok(Self { http1: connector(b"http/1.1"), http2: connector(b"h2"), is_http2: Arc::default() })
    }
}

impl<C> Service<Uri> for Negotiated<C>
where
    C: Service<Uri> + Clone + Send + 'static,
    C::Response: Connection + rt::Read + rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = MaybeHttpsStream<C::Response>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Each connection waits for its own connector.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { http1, http2, is_http2 } = self.clone();
        async move {
            if !is_http2.load(Ordering::Relaxed) {
                match in_time(http1.oneshot(uri.clone())).await {
                    Err(error) if is_refusal(&*error) => is_http2.store(true, Ordering::Relaxed),
                    done => return done,
                }
                tracing::info!("the API server, or what stands before it, speaks HTTP/2 alone");
            }
            in_time(http2.oneshot(uri)).await
        }
        .boxed()
    }
}

/// Gives up what takes too long: who accepts a connection may be silent then.
async fn in_time<T>(connecting: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
    match timeout(DEADLINE, connecting).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within 20 s").into()),
    }
}

/// Tells whether the other side speaks nothing that was offered.
fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return *tls == rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    }
    // Such an error does not name what it holds as its source.
    let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match held {
        Some(held) => is_refusal(held),
        None => error.source().is_some_and(is_refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_however_deep_it_is() {
        let alert = |alert| io::Error::other(io::Error::other(rustls::Error::AlertReceived(alert)));
        assert!(is_refusal(&alert(AlertDescription::NoApplicationProtocol)));
        assert!(!is_refusal(&alert(AlertDescription::BadCertificate)));
        assert!(!is_refusal(&io::Error::from(io::ErrorKind::ConnectionRefused)));
    }
}
