//! The channel `proxy`: plain HTTPS requests to the pod's `proxy` subresource.
//!
//! The API server connects to the pod by itself: kubelet and container runtime are not on the way. It strips
//! `Authorization`, prefixes `Location`, cleans paths, does not verify the pod's certificate, and answers by itself when the
//! pod is away; the layers above know it by the header that its own answers lack.
//!
//! See [Kubernetes, "Manually constructing apiserver proxy URLs"](https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls).

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header::LOCATION};
use http_body_util::BodyExt as _;
use kube::client::Body as KubeBody;
use reposure_oci::{Body, transport::BoxError};
use tokio::time::Instant;

use super::{ApiServer, Channel, ChannelError, Hop, segment::segment};

/// Reaches a surrogate through the `proxy` subresource of its pod.
#[derive(Clone, Debug)]
pub struct Proxy {
    api_server: ApiServer,
    /// What stands before a path of the surrogate's.
    prefix: String,
    /// The same where the API server is to ask the pod without TLS.
    clear_prefix: String,
}

impl Proxy {
    /// Addresses the pod `pod` in `namespace`, which serves TLS at `port`.
    pub fn new(api_server: ApiServer, namespace: &str, pod: &str, port: u16) -> Self {
        let (namespace, pod) = (segment(namespace), segment(pod));
        let prefix =
            |scheme: &str| format!("/api/v1/namespaces/{namespace}/pods/{scheme}:{pod}:{port}/proxy");
        Self { api_server, prefix: prefix("https"), clear_prefix: prefix("http") }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Body>, ChannelError> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.prefixed(&parts.uri)?;
        let request = Request::from_parts(parts, KubeBody::from(body));
        let mut response = self.api_server.client().send(request).await.map_err(classify)?;
        self.strip_location(response.headers_mut());
        Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
    }

    /// Takes off what the API server put before a path in `Location`: our prefix, behind the kubeconfig's base path.
    ///
    /// See [`proxy.Transport`](https://pkg.go.dev/k8s.io/apimachinery/pkg/util/proxy#Transport).
    fn strip_location(&self, headers: &mut HeaderMap) {
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let stripped = location.and_then(|location| location.split_once(&self.prefix)).map(|(_, path)| path);
        if let Some(Ok(path)) = stripped.map(HeaderValue::from_str) {
            headers.insert(LOCATION, path);
        }
    }

    fn prefixed(&self, uri: &Uri) -> Result<Uri, ChannelError> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        format!("{}{path}", self.prefix).parse().map_err(|source: http::uri::InvalidUri| ChannelError {
            hop: Hop::ApiServer,
            source: source.into(),
        })
    }
}

impl Channel for Proxy {
    fn name(&self) -> &'static str {
        "proxy"
    }

    fn clear(&self) -> Option<Arc<dyn Channel>> {
        Some(Arc::new(Self { prefix: self.clear_prefix.clone(), ..self.clone() }))
    }

    fn leave_idle(&self, sent: Instant) {
        self.api_server.leave_idle(sent);
    }

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
        self.exchange(request).boxed()
    }
}

fn classify(error: kube::Error) -> ChannelError {
    let hop = if matches!(error, kube::Error::Auth(_)) { Hop::Credentials } else { Hop::ApiServer };
    ChannelError { hop, source: error.into() }
}
