//! Failures that tests inject.

use std::sync::{Mutex, PoisonError};

use http::Method;

/// A failure of one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers by itself, before the request's body has come, which is read and forgotten.
    Answer {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Closes the connection without an answer, after this many bytes of the request's body.
    DropAfter(u64),
    /// Does as asked, then closes the connection without an answer.
    DropAnswer,
    /// Never answers.
    Stall,
    /// Answers 200 with a body that never ends.
    Endless,
    /// Answers as it should, but closes the connection after this many bytes of the answer's body.
    Truncate(usize),
    /// Answers as it should, but goes silent after this many bytes of the answer's body.
    StallBody(usize),
}

impl Fault {
    /// Answers with a status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }

    /// Answers with a status and `Retry-After` in seconds.
    pub fn retry_after(status: u16, seconds: u64) -> Self {
        let headers = vec![("retry-after".into(), seconds.to_string())];
        Self::Answer { status, headers, body: String::new() }
    }

    /// Answers with a status and a page for people, as proxies do.
    pub fn html(status: u16) -> Self {
        let headers = vec![("content-type".into(), "text/html; charset=utf-8".into())];
        let body = "<html><head><title>Some Proxy</title></head><body>Sorry</body></html>".into();
        Self::Answer { status, headers, body }
    }

    /// Answers with a status and one error of the distribution specification.
    pub fn code(status: u16, code: &str) -> Self {
        let headers = vec![("content-type".into(), "application/json".into())];
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"injected"}}]}}"#);
        Self::Answer { status, headers, body }
    }
}

/// Which requests fail, and how.
#[derive(Clone, Debug)]
pub struct Injection {
    /// Only requests of this method.
    pub method: Option<Method>,
    /// Only requests whose path holds this text.
    pub path: String,
    /// How many such requests go well first.
    pub skip: usize,
    /// How many then fail.
    pub times: usize,
    /// How they fail.
    pub fault: Fault,
}

impl Injection {
    /// Fails the next request of this method whose path holds `path`.
    pub fn next(method: Method, path: impl Into<String>, fault: Fault) -> Self {
        Self { method: Some(method), path: path.into(), skip: 0, times: 1, fault }
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        self.times > 0 && self.method.as_ref().is_none_or(|m| m == method) && path.contains(&self.path)
    }
}

/// The failures that are still to come.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Injection>>);

impl Faults {
    pub(crate) fn add(&self, injection: Injection) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(injection);
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes the fault that this request is to suffer.
    pub(crate) fn take(&self, method: &Method, path: &str) -> Option<Fault> {
        let mut injections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let injection = injections.iter_mut().find(|injection| injection.matches(method, path))?;
        if injection.skip > 0 {
            injection.skip -= 1;
            return None;
        }
        injection.times -= 1;
        Some(injection.fault.clone())
    }
}
