//! Questions that an API server closed the connection on before it answered are asked once more.
//!
//! A server may close a connection that it has answered on, or end as a whole, while the next request is under way on it. hyper tries
//! a request again only when none of it was sent. Go's clients, kubectl's among them, also repeat what changes nothing: see
//! `shouldRetryRequest` of [net/http][1] and [RFC 9110, section 9.2.2][2].
//!
//! [1]: https://pkg.go.dev/net/http#Transport
//! [2]: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2

use std::task::{Context, Poll};

use futures::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, header::UPGRADE};
use hyper_util::client::legacy;
use kube::client::Body as KubeBody;
use tower::{Service, ServiceExt as _};

use super::retry_after::copy;

/// A service whose questions survive the end of their connection once.
#[derive(Clone, Debug)]
pub(super) struct Replay<S>(pub(super) S);

impl<S> Service<Request<KubeBody>> for Replay<S>
where
    S: Service<Request<KubeBody>, Error = legacy::Error> + Clone + Send + 'static,
    S::Response: Send,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = legacy::Error;
    type Future = BoxFuture<'static, Result<S::Response, legacy::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), legacy::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<KubeBody>) -> Self::Future {
        let other = self.0.clone();
        let again = is_question(&request).then(|| copy(&request)).flatten();
        let response = self.0.call(request);
        async move {
            match (response.await, again) {
                (Err(error), Some(again)) if !error.is_connect() => other.oneshot(again).await,
                (response, _) => response,
            }
        }
        .boxed()
    }
}

/// Says whether a request changes nothing. What begins as a GET and becomes a process or a tunnel does.
fn is_question(request: &Request<KubeBody>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && !request.headers().contains_key(UPGRADE)
}
