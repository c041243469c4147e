//! The client, and how each call is made.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::sync::Mutex;

use super::{
    answer::{self, Whole, refuse_html},
    call::Call,
    error::{Error, Failure},
    limits::{ERROR_BODY, Limits},
    retry::Retry,
};
use crate::transport::{self, AnswerLimits, Body, Transport, Watch, stalling};

/// A client of one registry.
#[derive(Clone, Debug)]
pub struct Client<T> {
    transport: T,
    limits: Limits,
    /// Held while an index of referrers is changed.
    upkeep: Arc<Mutex<()>>,
}

impl<T: Transport> Client<T> {
    /// Uses a transport, with the default limits.
    pub fn new(transport: T) -> Self {
        Self::with_limits(transport, Limits::default())
    }

    /// Uses a transport.
    pub fn with_limits(transport: T, limits: Limits) -> Self {
        Self { transport, limits, upkeep: Arc::default() }
    }

    /// Returns the transport.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// Counts the tries of what consists of several calls.
    pub(crate) fn retry(&self) -> Retry {
        Retry::new(&self.limits)
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) const fn upkeep(&self) -> &Arc<Mutex<()>> {
        &self.upkeep
    }

    /// Makes a call and reads its answer of at most `limit` bytes. It is made again while that may help.
    pub(crate) async fn call(&self, call: &Call, limit: usize) -> Result<Whole, Error> {
        let mut retry = Retry::new(&self.limits);
        loop {
            match self.within(call, self.limits.call, self.whole(call, limit)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => retry.pause(error).await?,
            }
        }
    }

    /// Makes a call that deletes: what is gone when it is made again was deleted by a try whose answer was lost.
    pub(crate) async fn call_deleting(&self, call: &Call) -> Result<(), Error> {
        let mut retry = Retry::new(&self.limits);
        loop {
            match self.within(call, self.limits.call, self.whole(call, ERROR_BODY)).await {
                Ok(answer) => {
                    let refused = refuse_html(answer.status(), answer.headers(), answer.body());
                    return refused.map_err(|failure| call.error(failure));
                }
                Err(error) if error.is_not_found() && retry.was_unanswered() => return Ok(()),
                Err(error) => retry.pause(error).await?,
            }
        }
    }

    /// Makes a call whose answer is a stream. It is made again while that may help, until the answer begins.
    pub(crate) async fn open(&self, call: &Call) -> Result<Response<Body>, Error> {
        let mut retry = Retry::new(&self.limits);
        loop {
            match self.open_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => retry.pause(error).await?,
            }
        }
    }

    /// Sends a stream, once, and returns the answer with the number of bytes that were taken.
    pub(crate) async fn stream(&self, call: &Call, body: Body) -> Result<(Whole, u64), Error> {
        let (body, watch) = Watch::over(body);
        let request = call.request_with(body)?;
        let limits = AnswerLimits { piece: self.limits.stall, end: self.limits.store };
        let answer = watch.answer(limits, self.send(call, request)).await;
        let answer = answer.unwrap_or_else(|limit| Err(call.error(Failure::Timeout(limit))))?;
        let whole = self.read(call, answer, ERROR_BODY);
        Ok((self.within(call, self.limits.call, whole).await?, watch.bytes()))
    }

    /// Makes a call whose answer is a stream, once.
    pub(crate) async fn open_once(&self, call: &Call) -> Result<Response<Body>, Error> {
        let answer = self.within(call, self.limits.call, self.checked(call)).await?;
        Ok(answer.map(|body| stalling(body, self.limits.stall)))
    }

    async fn within<R>(
        &self,
        call: &Call,
        limit: Duration,
        future: impl Future<Output = Result<R, Error>>,
    ) -> Result<R, Error> {
        tokio::time::timeout(limit, future).await.unwrap_or_else(|_| Err(call.error(Failure::Timeout(limit))))
    }

    async fn whole(&self, call: &Call, limit: usize) -> Result<Whole, Error> {
        let answer = self.checked(call).await?;
        self.read(call, answer, limit).await
    }

    async fn read(&self, call: &Call, answer: Response<Body>, limit: usize) -> Result<Whole, Error> {
        let (parts, body) = answer.into_parts();
        let body = transport::collect(body, limit).await;
        let body = body.map_err(|error| call.error(answer::body_failure(error)))?;
        Ok(Response::from_parts(parts, body))
    }

    async fn checked(&self, call: &Call) -> Result<Response<Body>, Error> {
        self.send(call, call.request()?).await
    }

    /// Sends a request, and takes a status that is not expected for an error.
    async fn send(&self, call: &Call, request: Request<Body>) -> Result<Response<Body>, Error> {
        call.note(&self.transport, None);
        let sent = self.transport.send(request).await;
        let answer = sent.map_err(|error| call.error(Failure::Transport(error)))?;
        call.note(&self.transport, Some(answer.status()));
        if call.expected.contains(&answer.status()) {
            return Ok(answer);
        }
        let refusal = tokio::time::timeout(self.limits.call, answer::refusal(answer)).await;
        Err(call.error(refusal.unwrap_or(Failure::Timeout(self.limits.call))))
    }
}
