//! Tickets for blobs and chunks, and the requests without TLS that carry them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Method, Request, StatusCode};
use reposure_oci::{Body, Digest, RepositoryName};
use reposure_parcel::{
    problem::{Code, Problem},
    ticket::{Tickets, Wanted},
    wire::{self, Right},
};
use tokio::time::timeout;

use crate::{
    access::TicketOffice,
    answer::{self, Answer},
    app::App,
    exists, gateway,
    identifier::Identifier,
    route::Route,
};

/// How long a chunk may take that comes by a ticket: the largest at 512 KiB a second. Whoever is on a slower link sends it over TLS.
const CHUNK_DEADLINE: Duration = Duration::from_secs(32);

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

/// Answers a request that came without TLS over the cluster's network, where nothing but a ticket may be shown. Returns the right that
/// its ticket is worth, if it had one.
pub(crate) async fn answer(app: &Arc<App>, request: Request<Body>) -> (Option<Right>, Answer) {
    let leave = app.tickets.as_ref().and_then(|office| leave(office, &request, SystemTime::now()));
    let (right, answered) = match leave {
        Some(Leave::Read) => {
            (Some(Right::Pull), gateway::pass(app.registry.clone(), &app.results, request).await)
        }
        Some(Leave::Send(upload, offset)) => (Some(Right::Push), chunk(app, &upload, offset, request).await),
        None => (None, Err(Problem::new(Code::Unauthorized, "unauthorized"))),
    };
    (right, answered.unwrap_or_else(|problem| answer::problem(&problem)))
}

/// Answers a chunk. Whoever has seen its ticket on the way is not to keep the upload busy for longer than its client would.
async fn chunk(
    app: &Arc<App>,
    upload: &Identifier,
    offset: u64,
    request: Request<Body>,
) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    let received = timeout(CHUNK_DEADLINE, app.uploads.chunk(upload, offset, &parts.headers, body)).await;
    received.unwrap_or_else(|_| Err(Problem::new(Code::BadRequest, "the chunk takes too long").transient()))
}

/// What a ticket is for.
#[derive(Debug, PartialEq, Eq)]
enum Leave {
    /// To read the blob that is asked for.
    Read,
    /// To send a chunk of an upload, at an offset.
    Send(Identifier, u64),
}

/// Returns what a request asks for, if it carries a ticket for just that.
fn leave<B>(office: &TicketOffice, request: &Request<B>, now: SystemTime) -> Option<Leave> {
    let ticket = request.headers().get(wire::TICKET_HEADER)?.to_str().ok()?;
    match *request.method() {
        Method::GET => {
            let (repository, digest) = blob(request.uri().path())?;
            office.admits(ticket, &repository, &digest, now).then_some(Leave::Read)
        }
        Method::PUT => match Route::parse(request.method(), request.uri()) {
            Ok(Route::Chunk(upload, offset)) if office.admits_chunk(ticket, &upload, now) => {
                Some(Leave::Send(upload, offset))
            }
            _ => None,
        },
        _ => None,
    }
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
            leave(&office, &request.unwrap(), now) == Some(Leave::Read)
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

    #[test]
    fn a_ticket_of_an_upload_opens_nothing_but_its_chunks() {
        let (office, now, upload) = (TicketOffice::new().unwrap(), SystemTime::now(), Identifier::random());
        let ticket = office.upload_ticket(&upload, now);
        let leave = |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path).header(wire::TICKET_HEADER, &ticket);
            leave(&office, &request.body(()).unwrap(), now)
        };
        let path = format!("{}/{upload}", wire::UPLOADS);
        assert_eq!(leave(Method::PUT, &format!("{path}/7")), Some(Leave::Send(upload.clone(), 7)));
        let other = Identifier::random();
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::POST, format!("{path}/commit")),
            (Method::POST, format!("{path}/cancel")),
            (Method::PUT, format!("{}/{other}/7", wire::UPLOADS)),
            (Method::PUT, format!("{}/app/{}", wire::BLOBS, Digest::sha256_of(b"a"))),
        ] {
            assert_eq!(leave(method, &path), None, "{path}");
        }
    }
}
