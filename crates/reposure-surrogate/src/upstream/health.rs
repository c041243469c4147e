//! Whether the registry is well, asked of it from time to time.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Request, StatusCode, header};
use jiff::Timestamp;
use reposure_oci::transport::{self, Transport};
use reposure_parcel::{
    hello::Upstream,
    kind::RegistryKind,
    status::{Check, Reason},
};
use tokio::time::timeout;

use crate::{answer, reason};

/// How long the registry may take to answer.
const DEADLINE: Duration = Duration::from_secs(8);

#[derive(Clone, Debug)]
struct State {
    check: Check,
    problem: Option<String>,
}

/// What the registry answered last.
#[derive(Debug)]
pub(crate) struct Health {
    host: String,
    kind: Option<RegistryKind>,
    state: Mutex<State>,
}

impl Health {
    pub(crate) fn new(host: String, kind: Option<RegistryKind>) -> Self {
        let problem = Some("it was not asked yet".into());
        Self {
            host,
            kind,
            state: Mutex::new(State { check: Check { reason: Reason::Pending, time: None }, problem }),
        }
    }

    /// Asks the registry.
    pub(crate) async fn ask(&self, registry: &dyn Transport) {
        let (reason, problem) = match ask(registry).await {
            Ok(()) => (Reason::Ok, None),
            Err((reason, problem)) => (reason, Some(problem)),
        };
        self.note(reason, problem);
    }

    /// Takes note of what the registry answered just now.
    pub(crate) fn note(&self, reason: Reason, problem: Option<String>) {
        let check = Check { reason, time: Some(Timestamp::now().to_string()) };
        // Nothing can panic while it is held.
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State { check, problem };
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what came of it, as a code.
    pub(crate) fn check(&self) -> Check {
        self.state().check
    }

    /// Returns what came of it, for clients.
    pub(crate) fn upstream(&self) -> Upstream {
        let State { check, problem } = self.state();
        Upstream {
            host: self.host.clone(),
            reachable: check.reason == Reason::Ok,
            problem,
            kind: self.kind.map(|kind| kind.as_str().into()),
            certificate: None,
        }
    }
}

async fn ask(registry: &dyn Transport) -> Result<(), (Reason, String)> {
    let request = Request::get("/v2/").body(transport::empty()).unwrap_or_default();
    let answer = timeout(DEADLINE, registry.send(request)).await;
    let answer =
        answer.map_err(|_| (Reason::Timeout, format!("no answer within {} s", DEADLINE.as_secs())))?;
    let response = answer.map_err(|error| (reason::of(&error), answer::chain(&error)))?;
    let (status, text) = (response.status(), format!("GET /v2/ gave {}", response.status()));
    match status {
        StatusCode::OK if is_page(response.headers()) => Err((Reason::NotARegistry, text)),
        StatusCode::OK => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err((Reason::Unauthorized, text)),
        status if status.is_server_error() => Err((Reason::ServerError, text)),
        _ => Err((Reason::NotARegistry, text)),
    }
}

/// Tells whether the answer is a page for people: any web server may have one at any path.
fn is_page(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}
