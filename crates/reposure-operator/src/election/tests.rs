//! Two operators and one Lease, which a small API server keeps.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::*;

/// Keeps one Lease, and refuses what was not written of its newest version; or is away.
#[derive(Clone, Default)]
struct Server {
    lease: Arc<Mutex<Option<Value>>>,
    away: Arc<Mutex<bool>>,
}

impl Server {
    fn election(&self, identity: &str) -> Election {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let api = Api::namespaced(Client::new(service, "team"), "team");
        Election::new(api, identity.into())
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        if *self.away.lock().unwrap() {
            return failure(StatusCode::SERVICE_UNAVAILABLE);
        }
        let method = request.method().clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut kept = self.lease.lock().unwrap();
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
        if method == Method::GET {
            return kept.as_ref().map_or_else(|| failure(StatusCode::NOT_FOUND), found);
        }
        let mut lease: Value = serde_json::from_slice(&body).unwrap();
        if kept.as_ref().is_some_and(|kept| method == Method::POST || version(kept) != version(&lease)) {
            return failure(StatusCode::CONFLICT);
        }
        let next: u64 = version(&lease).parse().unwrap();
        lease["metadata"]["resourceVersion"] = (next + 1).to_string().into();
        found(kept.insert(lease))
    }

    fn holder(&self) -> Value {
        self.lease.lock().unwrap().as_ref().unwrap()["spec"]["holderIdentity"].clone()
    }
}

fn found(value: &Value) -> Response<Body> {
    Response::new(Body::from(serde_json::to_vec(value).unwrap()))
}

fn failure(code: StatusCode) -> Response<Body> {
    // By which kube tells what is not there from what is not known.
    let reason = if code == StatusCode::NOT_FOUND { "NotFound" } else { "" };
    let status = json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "message": "", "reason": reason});
    let mut response = found(&status);
    *response.status_mut() = code;
    response
}

#[tokio::test]
async fn one_holds_it_and_the_other_stands_by_until_it_is_given_back() {
    let server = Server::default();
    let (mut first, mut second) = (server.election("a"), server.election("b"));
    assert_eq!(first.attempt().await.unwrap(), Attempt::Held);
    assert_eq!(second.attempt().await.unwrap(), Attempt::Other);
    assert_eq!(first.attempt().await.unwrap(), Attempt::Held, "renewed");
    first.release().await;
    assert_eq!(second.attempt().await.unwrap(), Attempt::Held);
    assert_eq!(first.attempt().await.unwrap(), Attempt::Other, "it does not write over the other's");
    assert_eq!(server.holder(), "b");
    let lease = server.lease.lock().unwrap().clone().unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 2);
}

#[tokio::test]
async fn it_is_taken_only_when_it_has_not_changed_for_as_long_as_it_lasts() {
    let server = Server::default();
    let (mut first, mut second) = (server.election("a"), server.election("b"));
    first.attempt().await.unwrap();
    let lease: Lease = serde_json::from_value(server.lease.lock().unwrap().clone().unwrap()).unwrap();
    let start = Instant::now();
    assert!(!second.may_take(&lease, start), "first seen");
    assert!(!second.may_take(&lease, start + Duration::from_secs(14)));
    assert!(second.may_take(&lease, start + DURATION));
    let mut changed = lease.clone();
    changed.metadata.resource_version = Some("9".into());
    assert!(!second.may_take(&changed, start + DURATION), "renewed meanwhile");
    assert!(first.may_take(&lease, start), "one's own");
}

#[tokio::test]
async fn whoever_cannot_renew_gives_up_before_another_may_take_it() {
    let server = Server::default();
    let mut first = server.election("a");
    tokio::time::timeout(REQUEST, first.win(|| {})).await.unwrap();
    // Not to wait for it.
    let nearly = RENEW_DEADLINE.saturating_sub(Duration::from_millis(200));
    first.since = Instant::now().checked_sub(nearly);
    *server.away.lock().unwrap() = true;
    let start = Instant::now();
    tokio::time::timeout(RENEW_DEADLINE, first.keep()).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(RENEW_DEADLINE + REQUEST <= DURATION, "what was sent at the last moment is answered in time");
}

#[tokio::test]
async fn a_lease_that_was_taken_away_ends_the_term() {
    let server = Server::default();
    let mut first = server.election("a");
    tokio::time::timeout(REQUEST, first.win(|| {})).await.unwrap();
    {
        let mut lease = server.lease.lock().unwrap();
        let lease = lease.as_mut().unwrap();
        lease["spec"]["holderIdentity"] = "thief".into();
        lease["metadata"]["resourceVersion"] = "77".into();
    }
    tokio::time::timeout(RENEW_DEADLINE, first.keep()).await.unwrap();
    first.release().await;
    assert_eq!(server.holder(), "thief");
}
