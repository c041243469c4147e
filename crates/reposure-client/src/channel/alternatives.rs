//! Several channels to one surrogate: the next one is taken when the one in use stays broken.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, StatusCode};
use reposure_oci::Body;
use reposure_parcel::wire;
use tokio::time::Instant;

use super::{Channel, ChannelError};

/// How long a channel may bring nothing but failures before the next one is tried: an API server that is started again is back by then,
/// and all channels have had their turn before a push loses its patience.
const PATIENCE: Duration = Duration::from_secs(15);

/// Several channels, the one in use first, the next ones in the order in which they are tried; behind the last comes the first.
#[derive(Debug)]
pub(crate) struct Alternatives {
    channels: Vec<Arc<dyn Channel>>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    current: usize,
    /// Since when there were only failures.
    failing: Option<Instant>,
}

/// Why a request does not go over the next channel as it is.
#[derive(Debug, thiserror::Error)]
#[error("channel {0} is closed, and the request has no token for the next one")]
struct NoToken(&'static str);

/// What a request says of the channel that it went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// The surrogate answered.
    Open,
    /// There was no answer, or one of somebody else's who may be all right later.
    Broken,
    /// The right to the channel is missing.
    Closed,
}

impl Alternatives {
    /// Takes a channel, and those that may take its place.
    pub(crate) fn new(channel: Arc<dyn Channel>, others: impl IntoIterator<Item = Arc<dyn Channel>>) -> Self {
        let channels = std::iter::once(channel).chain(others).collect();
        Self { channels, state: Mutex::default() }
    }

    fn current(&self) -> (usize, &dyn Channel) {
        let current = self.state.lock().unwrap_or_else(PoisonError::into_inner).current;
        // It is counted round the number of channels, of which there is at least one.
        (current, self.channels[current].as_ref())
    }

    /// Takes note of what came of a request over a channel, and leaves the channel if it is time.
    fn note(&self, used: usize, sign: Sign) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left = state.current;
        state.note(used, sign, self.channels.len(), Instant::now());
        if state.current != left {
            let (left, next) = (self.channels[left].name(), self.channels[state.current].name());
            tracing::info!("channel {left} stays broken; going on over {next}");
        }
    }
}

impl State {
    /// Takes note of what came of a request over one of `count` channels, and leaves the channel if it is time.
    fn note(&mut self, used: usize, sign: Sign, count: usize, now: Instant) {
        if self.current != used {
            return;
        }
        let is_over = match sign {
            Sign::Open => {
                self.failing = None;
                false
            }
            Sign::Broken => now.duration_since(*self.failing.get_or_insert(now)) >= PATIENCE,
            Sign::Closed => true,
        };
        if is_over && count > 1 {
            *self = Self { current: (used + 1) % count, failing: None };
        }
    }
}

fn sign(answer: &Result<Response<Body>, ChannelError>) -> Sign {
    match answer {
        Ok(response) if response.headers().contains_key(wire::VERSION_HEADER) => Sign::Open,
        Ok(response) if response.status() == StatusCode::FORBIDDEN => Sign::Closed,
        // A body that is too large for something on the way goes in smaller pieces; a pod that is deleted is so on every channel.
        Ok(response)
            if matches!(response.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::NOT_FOUND) =>
        {
            Sign::Open
        }
        Ok(_) | Err(_) => Sign::Broken,
    }
}

impl Channel for Alternatives {
    fn name(&self) -> &'static str {
        self.current().1.name()
    }

    /// Whoever has no right to a token may do without one as long as the channel in use does.
    fn needs_token(&self) -> bool {
        self.current().1.needs_token()
    }

    fn is_embedded(&self) -> bool {
        self.current().1.is_embedded()
    }

    fn most_at_once(&self) -> usize {
        self.current().1.most_at_once()
    }

    fn leave_idle(&self, sent: Instant) {
        for channel in &self.channels {
            channel.leave_idle(sent);
        }
    }

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
        async move {
            let mut others = self.channels.len() - 1;
            loop {
                let (used, channel) = self.current();
                let pending = Pending { alternatives: self, used, done: false };
                let answer = pending.settle(channel.send(request.clone()).await);
                // What was refused has reached no surrogate.
                if others == 0 || sign(&answer) != Sign::Closed {
                    return answer;
                }
                if self.needs_token() && !channel.needs_token() {
                    return Err(ChannelError::of_surrogate(NoToken(channel.name()).into()));
                }
                others -= 1;
            }
        }
        .boxed()
    }
}

/// A request under way. One that is given up, since its time is over, says as much as one that fails.
struct Pending<'a> {
    alternatives: &'a Alternatives,
    used: usize,
    done: bool,
}

impl Pending<'_> {
    fn settle(
        mut self,
        answer: Result<Response<Body>, ChannelError>,
    ) -> Result<Response<Body>, ChannelError> {
        self.done = true;
        self.alternatives.note(self.used, sign(&answer));
        answer
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.alternatives.note(self.used, Sign::Broken);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, Ordering};

    use reposure_oci::transport;

    use super::*;

    /// A channel that answers with one status; 0 is none. One that is called `exec` needs no token.
    #[derive(Debug)]
    struct Fixed(&'static str, AtomicU16);

    impl Channel for Fixed {
        fn name(&self) -> &'static str {
            self.0
        }

        fn needs_token(&self) -> bool {
            self.0 != "exec"
        }

        fn send(&self, _: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
            let answer = match self.1.load(Ordering::Relaxed) {
                0 => Err(ChannelError::of_surrogate("cut".into())),
                200 => {
                    let answer = Response::builder().header(wire::VERSION_HEADER, "1");
                    Ok(answer.body(transport::empty()).unwrap())
                }
                status => Ok(Response::builder().status(status).body(transport::empty()).unwrap()),
            };
            std::future::ready(answer).boxed()
        }
    }

    fn alternatives(statuses: [u16; 2]) -> (Alternatives, [Arc<Fixed>; 2]) {
        let [first, second] = statuses;
        let channels = [("first", first), ("second", second)]
            .map(|(name, status)| Arc::new(Fixed(name, AtomicU16::new(status))));
        let [first, second] = channels.clone();
        (Alternatives::new(first, [second as Arc<dyn Channel>]), channels)
    }

    #[test]
    fn the_next_is_taken_when_one_stays_broken_and_not_before() {
        let (mut state, start) = (State::default(), Instant::now());
        let mut note = |sign, seconds| {
            state.note(0, sign, 2, start + Duration::from_secs(seconds));
            state.current
        };
        for seconds in 0..15 {
            assert_eq!(note(Sign::Broken, seconds), 0);
        }
        assert_eq!(note(Sign::Open, 15), 0);
        assert_eq!(note(Sign::Broken, 16), 0, "it had answered meanwhile");
        assert_eq!(note(Sign::Broken, 30), 0);
        assert_eq!(note(Sign::Broken, 31), 1);
        assert_eq!(note(Sign::Closed, 31), 1, "what is late says nothing of the next");
    }

    #[test]
    fn the_only_channel_is_kept() {
        let mut state = State::default();
        state.note(0, Sign::Closed, 1, Instant::now());
        assert_eq!(state.current, 0);
    }

    #[tokio::test]
    async fn a_right_that_is_taken_away_is_not_waited_for() {
        let (alternatives, channels) = alternatives([403, 200]);
        let answer = alternatives.send(Request::new(Bytes::new())).await.unwrap();
        assert_eq!((alternatives.name(), answer.status().as_u16()), ("second", 200));
        channels[0].1.store(200, Ordering::Relaxed);
        channels[1].1.store(403, Ordering::Relaxed);
        let answer = alternatives.send(Request::new(Bytes::new())).await.unwrap();
        assert_eq!(
            (alternatives.name(), answer.status().as_u16()),
            ("first", 200),
            "behind the last comes the first"
        );
        channels[0].1.store(403, Ordering::Relaxed);
        let answer = alternatives.send(Request::new(Bytes::new())).await.unwrap();
        assert_eq!(answer.status().as_u16(), 403, "all are closed");
    }

    /// It comes again then, with a token.
    #[tokio::test]
    async fn a_request_without_a_token_goes_over_no_channel_that_needs_one() {
        let channel = |name, status| Arc::new(Fixed(name, AtomicU16::new(status))) as Arc<dyn Channel>;
        let alternatives = Alternatives::new(channel("exec", 403), [channel("proxy", 200)]);
        assert!(!alternatives.needs_token());
        assert!(alternatives.send(Request::new(Bytes::new())).await.is_err());
        assert!(alternatives.needs_token());
        assert!(alternatives.send(Request::new(Bytes::new())).await.is_ok());
    }

    #[test]
    fn a_pod_that_is_deleted_is_no_fault_of_the_channel() {
        let answer =
            |status: u16| sign(&Ok(Response::builder().status(status).body(transport::empty()).unwrap()));
        assert_eq!(answer(404), Sign::Open);
        assert_eq!(answer(503), Sign::Broken);
    }
}
