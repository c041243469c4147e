//! How the stand-in departs from a healthy API server.

use std::time::Duration;

/// What holds for every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// The path before `/api`, as Rancher has it: `/k8s/clusters/c-1`.
    pub base_path: String,
    /// How long each request waits.
    pub delay: Duration,
    /// The largest body that a middle box before it lets through; a larger one gets 413.
    pub largest_body: Option<usize>,
    /// The largest message in a WebSocket to the client, in bytes.
    pub largest_message: Option<usize>,
    /// Whether it, or what stands before it, speaks HTTP/2 alone, over TLS with a certificate that nobody trusts.
    pub http2_only: bool,
    /// Which versions of its protocol `exec` speaks; where there are none, both.
    pub exec: Option<Version>,
    /// Whether it keeps what comes from the pod in each `WebSocket`.
    pub records: bool,
    /// Whether the user has the right to the pod's proxy over TLS alone.
    pub refuses_clear: bool,
    /// Whether ports are forwarded through tunnels.
    pub tunnels: Tunnels,
}

/// A version of the protocol of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one that API servers before 1.30 know alone.
    V4,
    /// The one that `kubectl` asks for, which something before the API server may know alone.
    V5,
}

/// What happens to clients that ask for a tunnel of SPDY to a port, or else for channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tunnels {
    /// They get one, as since Kubernetes 1.31.
    #[default]
    Given,
    /// They get channels, as before.
    Unknown,
    /// They get nothing, from something before the API server that knows channels alone.
    Refused,
}

/// A failure of some requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Part of the path of the requests that fail.
    pub path: String,
    /// How many more fit before the first fails.
    pub after: usize,
    /// How many fail.
    pub times: usize,
    /// How they fail.
    pub how: How,
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The connection is dropped before the request reaches the pod.
    CutBefore,
    /// The pod acts on the request, and the connection is dropped in place of its answer. A port that is forwarded turns out not to
    /// be reached, a process that is asked for not to start.
    CutAfter,
    /// The pod's answer is dropped after some bytes of its body; a port that is forwarded or a process, after some bytes of the
    /// pod's.
    CutWithin(usize),
    /// The same, of an answer that does not say how long it is.
    CutUnannounced(usize),
    /// One bit comes as another one, at this offset: of the request's body, or where there is none, of the answer's.
    Flip(usize),
    /// The request is never answered, as one to a pod that is gone.
    Hang,
    /// The API server answers by itself, with a `Status`.
    Status(u16),
    /// The same, with a `Retry-After` of so many seconds.
    RetryAfter(u16, u64),
    /// The same, with the date that is so many seconds behind the answer's own.
    RetryAt(u16, u64),
    /// The client is let into a process or to a port, and nothing comes of it.
    Mute,
}

impl Failure {
    /// Makes the next request whose path holds `path` fail.
    pub fn next(path: impl Into<String>, how: How) -> Self {
        Self { path: path.into(), after: 0, times: 1, how }
    }
}

/// Takes the failure that is due for `path`, if any.
pub(crate) fn due(failures: &mut Vec<Failure>, path: &str) -> Option<How> {
    let position = failures.iter().position(|failure| path.contains(&failure.path))?;
    let failure = &mut failures[position];
    if failure.after > 0 {
        failure.after -= 1;
        return None;
    }
    failure.times -= 1;
    let how = failure.how;
    if failure.times == 0 {
        failures.remove(position);
    }
    Some(how)
}
