//! The channel `exec`: HTTP/2 over standard input and output of a process in the surrogate's pod.
//!
//! The process is asked for by a WebSocket to the pod's `exec` subresource. The kubelet and the container runtime are on the way. It
//! needs the right to `create` (and, for a WebSocket, to `get`) `pods/exec` alone, and no token: whoever may `exec` into the pod may do
//! all that it can.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use reposure_parcel::session::{COMMAND, CONTAINER, PROGRAM};

use super::{
    ApiServer, Channel,
    messages::Messages,
    multiplexed::{Multiplexed, Open, OpenError},
    process::Process,
    segment::segment,
    upgrade::{CHANNELS, NEWER_CHANNELS, upgrade},
};

/// Returns the way to a surrogate through the `exec` subresource of the pod `pod` in `namespace`.
pub fn exec(api_server: ApiServer, namespace: &str, pod: &str) -> impl Channel + 'static {
    let (namespace, pod) = (segment(namespace), segment(pod));
    let command = format!("command={}&command={COMMAND}", segment(PROGRAM));
    // Some runtimes end a process that is asked for without standard error, or without input.
    let streams = "stdin=true&stdout=true&stderr=true";
    let path =
        format!("/api/v1/namespaces/{namespace}/pods/{pod}/exec?container={CONTAINER}&{command}&{streams}");
    Multiplexed::new(Opener { api_server, path: path.into() })
}

#[derive(Debug)]
struct Opener {
    api_server: ApiServer,
    path: Arc<str>,
}

impl Open for Opener {
    const NAME: &str = "exec";
    type Stream = Messages<Process>;

    fn open(&self) -> BoxFuture<'_, Result<Self::Stream, OpenError>> {
        async {
            let asked = |protocols| upgrade(&self.api_server, &self.path, protocols);
            let (socket, _) = match asked(&[CHANNELS]).await {
                // Where it is asked for along with the other one, it is taken.
                Err(error) if error.is_of_protocol() => asked(&[NEWER_CHANNELS]).await?,
                done => done?,
            };
            Ok(Messages::new(socket, Process::default()))
        }
        .boxed()
    }
}
