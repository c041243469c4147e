//! One request, which can be sent any number of times.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};

use super::{
    error::{Asked, Error, Failure},
    operation::Operation,
};
use crate::{
    auth::Scopes,
    transport::{self, Body, Transport},
};

/// A request without a stream.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What it needs, where the path does not tell.
    pub(crate) scopes: Option<Scopes>,
    /// The statuses that are no error.
    pub(crate) expected: &'static [StatusCode],
    /// What was asked last.
    asked: Arc<Mutex<Option<Asked>>>,
}

impl Call {
    pub(crate) fn new(operation: Operation, method: Method, path: String) -> Self {
        let expected = &[StatusCode::OK];
        Self {
            operation,
            method,
            path,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            scopes: None,
            expected,
            asked: Arc::default(),
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        let invalid = |_| Failure::Unsendable(value.into());
        let value = HeaderValue::try_from(value).map_err(invalid).map_err(|failure| self.error(failure))?;
        self.headers.append(name, value);
        Ok(self)
    }

    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    pub(crate) const fn expect(mut self, expected: &'static [StatusCode]) -> Self {
        self.expected = expected;
        self
    }

    pub(crate) fn error(&self, failure: Failure) -> Error {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Error { asked: asked.map(Box::new), ..Error::new(&self.operation, failure) }
    }

    /// Takes note of what is asked, and of the answer once there is one.
    pub(crate) fn note(&self, transport: &impl Transport, status: Option<StatusCode>) {
        let path = self.path.split('?').next().unwrap_or_default();
        let asked = Asked { method: self.method.clone(), url: transport.url(path), status };
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    }

    /// Returns the request with its own body.
    pub(crate) fn request(&self) -> Result<Request<Body>, Error> {
        let body = if self.body.is_empty() { transport::empty() } else { transport::full(self.body.clone()) };
        self.request_with(body)
    }

    /// Returns the request with a stream for its body.
    pub(crate) fn request_with(&self, body: Body) -> Result<Request<Body>, Error> {
        let invalid = |_| Failure::Unsendable(self.path.clone());
        let uri = self.path.parse().map_err(invalid).map_err(|failure| self.error(failure))?;
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        if let Some(scopes) = &self.scopes {
            request.extensions_mut().insert(scopes.clone());
        }
        Ok(request)
    }
}
