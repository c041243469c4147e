//! `Retry-After` of the API server, or of what stands before it: a request that came too soon is made once more when it says.
//!
//! It holds for every request: for a token, for a review, through the proxy. See [API Priority and Fairness][1], which answers 429.
//!
//! [1]: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, StatusCode};
use kube::client::Body as KubeBody;
use reposure_oci::transport::retry_after;
use reposure_parcel::wire;
use tokio::time::sleep;
use tower::{Service, ServiceExt as _};

/// How long one request waits in all, within the deadlines of those who make it: 10 s is the shortest. Whoever is told to wait longer
/// gets the answer, and has a patience of his own.
const LONGEST: Duration = Duration::from_secs(8);
/// The shortest wait, where none is wanted: it is an answer to too many requests.
const SHORTEST: Duration = Duration::from_millis(250);

/// A service whose requests wait as long as they are told to.
#[derive(Clone, Debug)]
pub(super) struct RetryAfter<S>(pub(super) S);

impl<S, B> Service<Request<KubeBody>> for RetryAfter<S>
where
    S: Service<Request<KubeBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<KubeBody>) -> Self::Future {
        // The one that is ready, and another one in its place.
        let other = self.0.clone();
        let mut service = std::mem::replace(&mut self.0, other);
        async move {
            let mut waited = Duration::ZERO;
            loop {
                let copy = copy(&request);
                let response = service.call(request).await?;
                let pause = wait(&response).and_then(|wait| pause(wait, LONGEST.saturating_sub(waited)));
                let (Some(copy), Some(pause)) = (copy, pause) else { return Ok(response) };
                waited += pause;
                drop(response);
                sleep(pause).await;
                service.ready().await?;
                request = copy;
            }
        }
        .boxed()
    }
}

/// Returns how long to pause who is told to wait, if there is so much time left: up to a quarter more, so that those who were told the
/// same do not come back at once, and never more than is left.
fn pause(wait: Duration, left: Duration) -> Option<Duration> {
    (wait <= left).then(|| wait.mul_f64(rand::random_range(1.0..=1.25)).min(left))
}

/// Copies a request, if its body is in memory as a whole.
pub(super) fn copy(request: &Request<KubeBody>) -> Option<Request<KubeBody>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

/// Returns how long an answer wants the same request to wait, if it was given instead of an answer of the surrogate's.
fn wait<B>(response: &Response<B>) -> Option<Duration> {
    let too_soon =
        matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if !too_soon || response.headers().contains_key(wire::VERSION_HEADER) {
        return None;
    }
    retry_after(response.headers()).map(|wait| wait.max(SHORTEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_as_long_as_wanted_and_never_longer_than_there_is_time() {
        for seconds in [1, 6, 7, 8] {
            let wait = Duration::from_secs(seconds);
            for _ in 0..100 {
                let pause = pause(wait, LONGEST).unwrap();
                assert!(pause >= wait && pause <= LONGEST.min(wait.mul_f64(1.25)), "{pause:?}");
            }
        }
        assert_eq!(pause(Duration::from_secs(9), LONGEST), None);
    }

    #[test]
    fn waits_for_whom_it_is_told_to() {
        let answer = |status: u16, name: &str, value: &str| {
            wait(&Response::builder().status(status).header(name, value).body(()).unwrap())
        };
        assert_eq!(answer(429, "retry-after", "3"), Some(Duration::from_secs(3)));
        assert_eq!(answer(503, "retry-after", "0"), Some(SHORTEST));
        assert_eq!(answer(500, "retry-after", "3"), None);
        assert_eq!(answer(429, "x", "3"), None);
        assert_eq!(answer(429, "retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"), Some(SHORTEST));
        let of_surrogate = Response::builder().status(503).header("retry-after", "3");
        assert_eq!(wait(&of_surrogate.header(wire::VERSION_HEADER, "1").body(()).unwrap()), None);
    }
}
