//! Tickets for blobs, and the requests without TLS that carry them.

use std::{sync::Arc, time::SystemTime};

use http::{Method, Request, StatusCode};
use reposure_oci::{Body, Digest, RepositoryName};
use reposure_parcel::{
    problem::{Code, Problem},
    ticket::{Tickets, Wanted},
    wire,
};

use crate::{
    access::TicketOffice,
    answer::{self, Answer},
    app::App,
    exists, gateway,
};

/// Gives tickets.
pub(crate) fn give(app: &App, wanted: &Wanted) -> Result<Answer, Problem> {
    let Some(office) = &app.tickets else {
        return Err(Problem::new(
            Code::NotFound,
            "there are no tickets for a registry that is reached over TLS",
        ));
    };
    exists::check_count(&wanted.digests)?;
    let now = SystemTime::now();
    let tickets =
        wanted.digests.iter().map(|digest| office.ticket(&wanted.repository, digest, now)).collect();
    Ok(answer::json(StatusCode::OK, &Tickets { tickets }))
}

/// Answers a request that came without TLS over the cluster's network, where nothing but a ticket may be shown.
pub(crate) async fn answer(app: Arc<App>, request: Request<Body>) -> Answer {
    let office = app.tickets.as_ref().filter(|office| is_admitted(office, &request, SystemTime::now()));
    let passed = if office.is_some() {
        gateway::pass(app.registry.clone(), &app.results, request).await
    } else {
        Err(Problem::new(Code::Unauthorized, "unauthorized"))
    };
    passed.unwrap_or_else(|problem| answer::problem(&problem))
}

/// Tells whether a request carries a ticket for just what it asks for.
fn is_admitted<B>(office: &TicketOffice, request: &Request<B>, now: SystemTime) -> bool {
    let ticket = request.headers().get(wire::TICKET_HEADER).and_then(|ticket| ticket.to_str().ok());
    let (Some(ticket), Some((repository, digest))) = (ticket, blob(request.uri().path())) else {
        return false;
    };
    *request.method() == Method::GET && office.admits(ticket, &repository, &digest, now)
}

/// Reads `/v2/REPOSITORY/blobs/DIGEST`.
fn blob(path: &str) -> Option<(RepositoryName, Digest)> {
    let (repository, digest) = path.strip_prefix("/v2/")?.rsplit_once("/blobs/")?;
    Some((repository.parse().ok()?, digest.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_nothing_but_its_blob() {
        let (office, now) = (TicketOffice::new().unwrap(), SystemTime::now());
        let digest = Digest::sha256_of(b"a");
        let ticket = office.ticket(&"some/app".parse().unwrap(), &digest, now);
        let admitted = |method: Method, path: &str, header: &str| {
            let request = Request::builder().method(method).uri(path).header(header, &ticket).body(());
            is_admitted(&office, &request.unwrap(), now)
        };
        let (path, header) = (format!("/v2/some/app/blobs/{digest}"), wire::TICKET_HEADER);
        assert!(admitted(Method::GET, &path, header));
        assert!(!admitted(Method::GET, &path, wire::TOKEN_HEADER));
        for method in [Method::HEAD, Method::PUT, Method::DELETE] {
            assert!(!admitted(method, &path, header));
        }
        let other = Digest::sha256_of(b"b");
        for path in [
            format!("/v2/some/app/manifests/{digest}"),
            format!("/v2/some/app/blobs/{other}"),
            format!("/v2/other/blobs/{digest}"),
            format!("/v2/some/app/blobs/{digest}/../{other}"),
            format!("/v2/some//app/blobs/{digest}"),
            "/v2/_catalog".to_owned(),
            wire::HELLO.to_owned(),
        ] {
            assert!(!admitted(Method::GET, &path, header), "{path}");
        }
    }
}
