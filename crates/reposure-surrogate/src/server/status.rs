//! The status port: no token, no secrets.

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use reposure_parcel::{
    problem::{Code, Problem},
    status::{Certificate, Status},
    wire,
};

use super::connection::marked;
use crate::{
    answer::{self, Answer},
    app::App,
    hello::BUILD,
};

/// Answers a request on the status port.
pub(crate) fn answer(app: &Arc<App>, request: &Request<Incoming>) -> Answer {
    marked(match (request.method(), request.uri().path()) {
        (&Method::GET, wire::STATUS) => answer::json(StatusCode::OK, &status(app)),
        (&Method::GET, wire::METRICS) => answer::metrics(app.metrics.text(&status(app))),
        (&Method::GET, wire::ALIVE) => answer::empty(StatusCode::OK),
        (method, path) => {
            answer::problem(&Problem::new(Code::NotFound, format!("there is no {method} {path} here")))
        }
    })
}

fn status(app: &App) -> Status {
    Status {
        build: BUILD.into(),
        pod_uid: app.pod_uid.clone(),
        registry: app.health.check(),
        keys: app.gate.check(),
        certificate: certificate(app),
        connections: app.metrics.connections(),
        open_uploads: app.uploads.count(),
    }
}

/// Returns the certificate that the registry showed last.
pub(crate) fn certificate(app: &App) -> Option<Certificate> {
    let (_, validity) = app.certificate.as_ref()?.seen()?;
    Some(Certificate {
        not_before: validity.not_before.to_string(),
        not_after: validity.not_after.to_string(),
    })
}
