//! Blobs that may be read, and chunks that may be sent, without TLS between the surrogate and the API server, by tickets.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use reposure_oci::{Body, Descriptor, Digest, RepositoryName};
use reposure_parcel::{
    limits::EXISTS_DIGESTS,
    problem::Code,
    ticket::{self, Wanted},
    upload::Ticket,
    wire,
};
use tokio::time::{Instant, timeout};

use super::{Answer, Session, SessionError, answer, line::ANSWER_DEADLINE, request};
use crate::channel::Channel;

/// The least that a pull has for tickets to be worth their round trip, in bytes: TLS costs a millisecond for each 2 MiB.
const LEAST: u64 = 8 << 20;

/// Leave to read some blobs without TLS.
#[derive(Debug)]
pub(crate) struct Tickets {
    channel: Arc<dyn Channel>,
    by_digest: HashMap<Digest, HeaderValue>,
    /// Whether that way has failed once: then it is left for good.
    is_closed: AtomicBool,
}

impl Session {
    /// Asks for tickets for the largest of some blobs, where the surrogate gives them, and is so `near` that they are of use.
    ///
    /// A failure is none: everything may be read over TLS as well.
    pub(crate) async fn tickets(
        &self,
        repository: &RepositoryName,
        blobs: &[Descriptor],
        near: Duration,
    ) -> Option<Tickets> {
        let channel = self.clear.clone()?;
        let total = blobs.iter().fold(0_u64, |total, blob| total.saturating_add(blob.size));
        if total < LEAST || self.round_trip() > near {
            return None;
        }
        let mut blobs: Vec<&Descriptor> = blobs.iter().collect();
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let digests: Vec<_> = blobs.iter().take(EXISTS_DIGESTS).map(|blob| blob.digest.clone()).collect();
        let wanted = Wanted { repository: repository.clone(), digests };
        let answer = self.call(Method::POST, wire::TICKETS, Some(&wanted)).await.ok()?;
        let tickets = answer.parse::<ticket::Tickets>(wire::TICKETS).ok()?.tickets;
        let pairs = wanted.digests.into_iter().zip(&tickets);
        let by_digest = pairs.filter_map(|(digest, ticket)| Some((digest, value(ticket)?))).collect();
        Some(Tickets { channel, by_digest, is_closed: AtomicBool::new(false) })
    }

    /// Sends a chunk, by a ticket without TLS where that goes.
    pub(crate) async fn put_chunk(
        &self,
        path: &str,
        bytes: &Bytes,
        ticket: Option<&Ticket>,
    ) -> Result<Answer, SessionError> {
        let in_the_clear = self.clear.as_ref().zip(ticket.and_then(|ticket| value(&ticket.0)));
        let turn = in_the_clear.and_then(|way| Some((way, self.chunks.turn()?)));
        let Some(((channel, ticket), turn)) = turn else { return self.put(path, bytes.clone()).await };
        let mut request = request(Method::PUT, path, "application/octet-stream", bytes.clone())?;
        request.headers_mut().insert(wire::TICKET_HEADER, ticket);
        let response = match self.line.over(channel.clone()).exchange_as_it_is(request).await {
            Ok(response) => response,
            // It is not sent again before it is asked how far it came.
            Err(error) => {
                turn.end(false);
                return Err(error);
            }
        };
        match answer::checked(response, channel.as_ref(), path).await {
            // A right is missing, or the surrogate is another one now: over TLS it is said what is wrong, if anything is.
            Err(error) if error.code().is_none_or(|code| code == Code::Unauthorized) => {
                turn.end(false);
                self.put(path, bytes.clone()).await
            }
            checked => {
                turn.end(true);
                Answer::read(checked?, path).await
            }
        }
    }
}

impl Tickets {
    /// Sends a request for a blob without TLS, and returns the registry's answer; `None` where it is to go over TLS.
    pub(crate) async fn send(&self, digest: &Digest, mut request: Request<Bytes>) -> Option<Response<Body>> {
        if self.is_closed.load(Ordering::Relaxed) {
            return None;
        }
        request.headers_mut().insert(wire::TICKET_HEADER, self.by_digest.get(digest)?.clone());
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let sent = Instant::now();
        let answer = timeout(ANSWER_DEADLINE, self.channel.send(request)).await;
        if answer.is_err() {
            self.channel.leave_idle(sent);
        }
        let answer = answer.ok().and_then(Result::ok).filter(|answer| {
            answer::is_of_surrogate(answer) && !answer.headers().contains_key(wire::PROBLEM_HEADER)
        });
        if answer.is_none() {
            // A right is missing, or the surrogate is another one now. Over TLS it is said what is wrong, if anything is.
            self.close();
        }
        answer
    }

    /// Leaves that way, after a blob broke off on it.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

fn value(ticket: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(ticket).ok()?;
    value.set_sensitive(true);
    Some(value)
}
