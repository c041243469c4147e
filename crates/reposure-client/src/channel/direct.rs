//! The channel `direct`: no surrogate, but what one does, in this process.
//!
//! For a client that reaches the registry by itself, as pods of the cluster do, and holds its credentials. Pushes, pulls and deletes
//! are the same as over any other channel, and nothing is copied or framed for it.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response, header};
use reposure_oci::{Body, DirectTransport, registry, transport};
use reposure_parcel::{config::UploadStrategy, kind::RegistryKind};
use reposure_surrogate::Embedded;

use super::{Channel, ChannelError};

/// Reaches a registry without a surrogate.
#[derive(Clone, Debug)]
pub struct Direct(Arc<Embedded>);

impl Direct {
    /// Asks the registry of the `Registry` called `name` in `namespace`, which `transport` leads to and takes blobs as `upload` says,
    /// whether it is there. `kind` is what it is known to be.
    ///
    /// # Errors
    /// When the registry does not answer within 15 s, or what answers is none. One that does not take the transport's credentials
    /// is no error: it may let anyone pull.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn open(
        namespace: &str,
        name: &str,
        transport: DirectTransport,
        upload: UploadStrategy,
        kind: Option<RegistryKind>,
    ) -> Result<Self, registry::Error> {
        Ok(Self(Arc::new(Embedded::start(namespace, name, transport, upload, kind).await?)))
    }
}

impl Channel for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    /// Whoever holds the registry's credentials may do all that they let him do.
    fn needs_token(&self) -> bool {
        false
    }

    fn is_embedded(&self) -> bool {
        true
    }

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
        self.0.answer(with_length(request)).map(Ok).boxed()
    }
}

/// Announces the length of a request's body, as HTTP's library does on other channels.
fn with_length(request: Request<Bytes>) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    let has_body = matches!(parts.method, Method::PUT | Method::POST | Method::PATCH) || !body.is_empty();
    if has_body {
        parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    }
    let body = if body.is_empty() { transport::empty() } else { transport::full(body) };
    Request::from_parts(parts, body)
}
