//! TCP connections to a name, of which some addresses may be down.
//!
//! What Linux would find out after a quarter of an hour is found out in half a minute: that nothing that was sent has arrived.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use http::Uri;
use hyper_util::client::legacy::connect::{
    HttpConnector,
    dns::{GaiResolver, Name},
};
use reposure_oci::transport::BoxError;
use tower::{Service, ServiceExt as _};

use super::buffered::Buffered;

/// After how long a silent connection is asked for a sign of life.
const IDLE: Duration = Duration::from_secs(10);
/// How often it is asked then.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long there may be no sign of life, of data or of such a question: less than the 30 s that an answer may be silent, so that it is
/// not asked for again on an idle connection that is as dead as the first.
const SILENCE: Duration = Duration::from_secs(25);

/// Returns what connects by TCP, within `deadline` for all addresses of a name together. Each gets an equal part of it.
pub(super) fn tcp(deadline: Duration) -> Tcp<GaiResolver> {
    Tcp::new(GaiResolver::new(), deadline)
}

/// Connects by TCP.
#[derive(Clone, Debug)]
pub(super) struct Tcp<R> {
    connector: HttpConnector<Ordered<R>>,
    last: Last,
}

/// The address that the last connection was made to.
#[derive(Clone, Debug, Default)]
struct Last(Arc<Mutex<Option<IpAddr>>>);

impl Last {
    fn get(&self) -> Option<IpAddr> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, address: IpAddr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }
}

impl<R> Tcp<R> {
    fn new(resolver: R, deadline: Duration) -> Self {
        let last = Last::default();
        let mut connector = HttpConnector::new_with_resolver(Ordered { resolver, last: last.clone() });
        connector.enforce_http(false);
        // Nagle's algorithm would hold the last segment of every chunk back for a round trip.
        connector.set_nodelay(true);
        connector.set_keepalive(Some(IDLE));
        connector.set_keepalive_interval(Some(ASK_AGAIN));
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(SILENCE));
        #[cfg(not(target_os = "linux"))]
        connector.set_keepalive_retries(Some(3));
        connector.set_connect_timeout(Some(deadline));
        Self { connector, last }
    }
}

impl<R> Service<Uri> for Tcp<R>
where
    R: Service<Name> + Clone + Send + Sync + 'static,
    R::Response: Iterator<Item = SocketAddr>,
    R::Error: Into<BoxError>,
    R::Future: Send,
{
    type Response = Buffered;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Buffered, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Each connection waits for its own connector.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { connector, last } = self.clone();
        async move {
            let stream = connector.oneshot(uri).await?;
            if let Ok(address) = stream.inner().peer_addr() {
                last.set(address.ip());
            }
            Ok(Buffered::new(stream))
        }
        .boxed()
    }
}

/// Resolves names, and gives the address first that was good the last time: those that are down cost their time once.
#[derive(Clone, Debug)]
struct Ordered<R> {
    resolver: R,
    last: Last,
}

impl<R> Service<Name> for Ordered<R>
where
    R: Service<Name> + Clone + Send + 'static,
    R::Response: Iterator<Item = SocketAddr>,
    R::Error: Into<BoxError>,
    R::Future: Send,
{
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.resolver.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolved, last) = (self.resolver.call(name), self.last.get());
        async move {
            let mut addresses: Vec<_> = resolved.await.map_err(Into::into)?.collect();
            // The order of the others stays.
            addresses.sort_by_key(|address| last != Some(address.ip()));
            Ok(addresses.into_iter())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future, time::Instant};

    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tower::service_fn;

    use super::*;

    /// Three API servers of one name, and the client's time for all of them.
    const DEADLINE: Duration = Duration::from_millis(1500);

    /// Takes no connection any more, and refuses none: what is sent to it gets no answer, as with a machine that is off.
    async fn black_hole(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        let (listener, mut waiting) = (socket.listen(0).unwrap(), Vec::new());
        let address = listener.local_addr().unwrap();
        while let Ok(stream) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            waiting.push(stream.unwrap());
        }
        (listener, waiting)
    }

    #[tokio::test]
    async fn a_name_of_which_most_addresses_are_down_is_reached() {
        let good = TcpListener::bind("127.0.0.4:0").await.unwrap();
        let port = good.local_addr().unwrap().port();
        let at = |last| SocketAddr::from(([127, 0, 0, last], port));
        let _silent = black_hole(at(2)).await;
        // Nobody listens at 127.0.0.3.
        let addresses = [2, 3, 4].map(at);
        let resolver = service_fn(move |_: Name| {
            future::ready(Ok::<_, Infallible>(
                addresses.map(|address| SocketAddr::new(address.ip(), 0)).into_iter(),
            ))
        });
        let tcp = Tcp::new(resolver, DEADLINE);
        let connect = || async {
            let began = Instant::now();
            let uri = format!("https://several.example:{port}").parse().unwrap();
            let (connected, _) = tokio::join!(tcp.clone().oneshot(uri), good.accept());
            connected.map(|_| began.elapsed())
        };
        let share = DEADLINE / 3;
        let first = connect().await.unwrap();
        assert!(first >= share && first < DEADLINE, "each address has its share: {first:?}");
        let second = connect().await.unwrap();
        assert!(second < share, "the one that is there is tried first: {second:?}");
    }

    #[tokio::test]
    async fn a_name_of_which_all_addresses_are_down_costs_the_deadline_once() {
        let (listener, _waiting) = black_hole(([127, 0, 0, 5], 0).into()).await;
        let address = listener.local_addr().unwrap();
        let resolver =
            service_fn(move |_: Name| future::ready(Ok::<_, Infallible>([address, address].into_iter())));
        let began = Instant::now();
        let uri = format!("https://several.example:{}", address.port()).parse().unwrap();
        let error = Tcp::new(resolver, DEADLINE).oneshot(uri).await.unwrap_err();
        let took = began.elapsed();
        assert!(took >= DEADLINE && took < DEADLINE * 2, "{took:?}: {error:?}");
    }
}
