//! What was asked of the registry, for tests that count.

use std::sync::{Mutex, PoisonError};

use http::{Method, StatusCode};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The method.
    pub method: Method,
    /// The path, without query.
    pub path: String,
    /// The query, without `?`.
    pub query: String,
    /// The headers, without their secrets: `authorization` holds the scheme only.
    pub headers: Vec<(String, String)>,
    /// How many bytes of the body were read.
    pub received: u64,
    /// The answer's status, once there is one; never for a dropped connection.
    pub status: Option<StatusCode>,
    /// Whether the client left before all of the answer's body was on its way.
    pub abandoned: bool,
}

/// The requests, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Entry>>);

impl Log {
    /// Adds a request and returns its number.
    pub(crate) fn begin<B>(&self, request: &http::Request<B>) -> usize {
        let entry = Entry {
            method: request.method().clone(),
            path: request.uri().path().into(),
            query: request.uri().query().unwrap_or_default().into(),
            headers: request.headers().iter().map(header).collect(),
            received: 0,
            status: None,
            abandoned: false,
        };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(entry);
        entries.len() - 1
    }

    pub(crate) fn received(&self, number: usize, bytes: usize) {
        self.update(number, |entry| entry.received += bytes as u64);
    }

    pub(crate) fn answered(&self, number: usize, status: StatusCode) {
        self.update(number, |entry| entry.status = Some(status));
    }

    pub(crate) fn abandoned(&self, number: usize) {
        self.update(number, |entry| entry.abandoned = true);
    }

    fn update(&self, number: usize, change: impl FnOnce(&mut Entry)) {
        // The log may have been cleared since.
        if let Some(entry) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number) {
            change(entry);
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn header((name, value): (&http::HeaderName, &http::HeaderValue)) -> (String, String) {
    let value = value.to_str().unwrap_or_default();
    let shown = match *name {
        http::header::AUTHORIZATION => value.split(' ').next().unwrap_or_default(),
        _ => value,
    };
    (name.as_str().into(), shown.into())
}
