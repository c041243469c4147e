//! A channel that is looked at, and a surrogate that is made an older one.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, header};
use http_body_util::BodyExt as _;
use reposure_client::channel::{Channel, ChannelError};
use reposure_oci::{Body, transport};
use reposure_parcel::wire;
use serde_json::Value;
use tokio::time::Instant;

type Look = dyn Fn(&Request<Bytes>) + Send + Sync;

/// Another channel, with somebody who sees each request before it goes.
pub(crate) struct Watched {
    channel: Arc<dyn Channel>,
    look: Arc<Look>,
    /// Whether a hello is what a surrogate said that could nothing beyond the first version.
    is_old: bool,
}

impl Watched {
    pub(crate) fn new(
        channel: impl Channel + 'static,
        look: impl Fn(&Request<Bytes>) + Send + Sync + 'static,
    ) -> Self {
        Self { channel: Arc::new(channel), look: Arc::new(look), is_old: false }
    }

    /// Makes the surrogate say hello as the first ones did: without capabilities, and without places.
    pub(crate) fn of_an_old_surrogate(self) -> Self {
        Self { is_old: true, ..self }
    }

    fn over(&self, channel: Arc<dyn Channel>) -> Arc<dyn Channel> {
        Arc::new(Self { channel, look: self.look.clone(), is_old: self.is_old })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Watched").field(&self.channel).finish()
    }
}

impl Channel for Watched {
    fn name(&self) -> &'static str {
        self.channel.name()
    }

    fn needs_token(&self) -> bool {
        self.channel.needs_token()
    }

    fn unwrapped(&self) -> Option<Arc<dyn Channel>> {
        self.channel.unwrapped().map(|channel| self.over(channel))
    }

    fn clear(&self) -> Option<Arc<dyn Channel>> {
        self.channel.clear().map(|channel| self.over(channel))
    }

    fn most_at_once(&self) -> usize {
        self.channel.most_at_once()
    }

    fn leave_idle(&self, sent: Instant) {
        self.channel.leave_idle(sent);
    }

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
        (self.look)(&request);
        let is_hello = self.is_old && request.uri().path() == wire::HELLO;
        let answer = self.channel.send(request);
        async move { if is_hello { Ok(old(answer.await?).await) } else { answer.await } }.boxed()
    }
}

/// Takes out of a hello what came later.
async fn old(answer: Response<Body>) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let Ok(Value::Object(mut hello)) = serde_json::from_slice(&bytes) else {
        return Response::from_parts(parts, transport::full(bytes));
    };
    hello.remove("capabilities");
    if let Some(Value::Object(limits)) = hello.get_mut("limits") {
        limits.remove("places");
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, transport::full(serde_json::to_vec(&hello).unwrap()))
}
