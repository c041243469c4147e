//! What happens between client and registry.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use reposure_oci::{
    DirectOptions, DirectTransport, Endpoint, Scheme, TransportError, TrustAnchors,
    auth::Credentials,
    direct::{Cause, DirectError},
    registry::{Client, Error, Failure, Limits},
};
use reposure_testing::{Fault, Injection, MemoryRegistry, Options};

use crate::fixture::{Fixture, SHORT, content, failure, limits, name, options};

fn transport_error(error: &Error) -> &TransportError {
    match &*error.failure {
        Failure::Transport(error) => error,
        other => panic!("{other:?}"),
    }
}

fn cause(error: &Error) -> Cause {
    transport_error(error).source.downcast_ref::<DirectError>().unwrap().cause
}

async fn ping(options: DirectOptions) -> Result<(), Error> {
    let client =
        Client::with_limits(DirectTransport::new(options).unwrap(), Limits { attempts: 1, ..limits() });
    client.ping().await.map(|_| ())
}

#[tokio::test]
async fn a_registry_is_known_by_its_answer() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.client.ping().await.unwrap().api_version.as_deref(), Some("registry/2.0"));
    fixture.registry.inject(Injection::next(Method::GET, "/v2/", Fault::html(200)));
    assert!(matches!(failure(fixture.client.ping().await), Failure::Html { .. }));
    fixture.registry.inject(Injection::next(Method::GET, "/v2/", Fault::html(404)));
    let error = fixture.client.ping().await.unwrap_err();
    assert!(error.failure.to_string().contains("web page with title \"Some Proxy\""), "{}", error.failure);
}

#[tokio::test]
async fn what_may_succeed_later_is_tried_again() {
    let faults = [Fault::status(500), Fault::status(503), Fault::retry_after(429, 0), Fault::DropAfter(0)];
    for fault in faults.into_iter().chain([Fault::Truncate(1)]) {
        let fixture = Fixture::new().await;
        let injection = Injection { method: None, path: String::new(), skip: 0, times: 3, fault };
        fixture.registry.inject(injection.clone());
        fixture.client.ping().await.unwrap();
        assert_eq!(fixture.registry.requests().len(), 4);
        fixture.registry.inject(Injection { times: 4, ..injection });
        let error = fixture.client.ping().await.unwrap_err();
        assert!(error.is_transient());
        let text = error.to_string();
        assert!(text.starts_with("cannot ask for the registry's API, tried 4 times"), "{text}");
    }
}

#[tokio::test]
async fn an_error_says_how_long_a_request_was_tried() {
    let fixture = Fixture::new().await;
    let fault = Fault::retry_after(503, 1);
    fixture.registry.inject(Injection { method: None, path: String::new(), skip: 0, times: 4, fault });
    let text = fixture.client.ping().await.unwrap_err().to_string();
    let seconds =
        text.strip_prefix("cannot ask for the registry's API, tried 4 times within ").unwrap_or(&text);
    let seconds: u64 = seconds.split(' ').next().unwrap().parse().expect(&text);
    assert!((3..20).contains(&seconds), "{text}");
}

#[tokio::test]
async fn what_cannot_succeed_is_not_tried_again() {
    let fixture = Fixture::new().await;
    for status in [400, 403, 404, 405, 501] {
        fixture.registry.clear_requests();
        fixture.registry.inject(Injection::next(Method::GET, "/v2/", Fault::status(status)));
        assert_eq!(fixture.client.ping().await.unwrap_err().status().unwrap(), status);
        assert_eq!(fixture.registry.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_long_retry_after_is_not_waited_for() {
    let fixture = Fixture::new().await;
    fixture.registry.inject(Injection::next(Method::GET, "/v2/", Fault::retry_after(429, 3600)));
    let error = fixture.client.ping().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert!(error.failure.to_string().ends_with(", to be asked again in 3600 s"), "{}", error.failure);
}

#[tokio::test]
async fn silence_has_an_end() {
    let fixture = Fixture::new().await.with_limits(Limits { call: SHORT, attempts: 1, ..limits() });
    for fault in [Fault::Stall, Fault::StallBody(1)] {
        fixture.registry.inject(Injection::next(Method::GET, "/v2/", fault));
        assert!(matches!(failure(fixture.client.ping().await), Failure::Timeout(SHORT)));
    }
    let mut options = options(&fixture.registry);
    options.answer_limit = SHORT;
    fixture.registry.inject(Injection::next(Method::GET, "/v2/", Fault::Stall));
    assert_eq!(cause(&ping(options).await.unwrap_err()), Cause::Timeout(SHORT));
}

#[tokio::test]
async fn failures_to_connect_are_told_apart() {
    let gone = MemoryRegistry::start(Options::default()).await.unwrap();
    let refused = options(&gone);
    drop(gone);
    tokio::task::yield_now().await;
    let error = ping(refused).await.unwrap_err();
    assert_eq!(cause(&error), Cause::ConnectionRefused);
    assert!(error.is_transient());
    assert_eq!(transport_error(&error).hop, "registry");

    let unknown = DirectOptions::new(Endpoint::new(Scheme::Http, "registry.invalid").unwrap());
    assert_eq!(cause(&ping(unknown).await.unwrap_err()), Cause::NameUnknown);
}

#[tokio::test]
async fn tls_is_checked() {
    let tls = Options { tls: true, ..Options::default() };
    let fixture = Fixture::with(tls, Credentials::Anonymous).await;
    fixture.client.ping().await.unwrap();
    let (host, plain) = (fixture.registry.host(), Fixture::new().await);
    let untrusted = DirectOptions::new(Endpoint::new(Scheme::Https, &host).unwrap());
    let error = ping(untrusted).await.unwrap_err();
    assert_eq!(cause(&error), Cause::CertificateUntrusted);
    assert!(!error.is_transient());
    let mut trusting = options(&fixture.registry);
    trusting.trust = TrustAnchors::SystemAnd(fixture.registry.authority().unwrap().into());
    ping(trusting).await.unwrap();
    let mut trusting = options(&fixture.registry);
    let other = MemoryRegistry::start(Options { tls: true, ..Options::default() }).await.unwrap();
    trusting.trust = TrustAnchors::SystemAnd(other.authority().unwrap().into());
    assert_eq!(cause(&ping(trusting).await.unwrap_err()), Cause::CertificateUntrusted);
    let not_tls = DirectOptions::new(Endpoint::new(Scheme::Https, &plain.registry.host()).unwrap());
    assert_eq!(cause(&ping(not_tls).await.unwrap_err()), Cause::Tls);
    let not_plain = DirectOptions::new(Endpoint::new(Scheme::Http, &host).unwrap());
    assert_eq!(cause(&ping(not_plain).await.unwrap_err()), Cause::NoHttp);
}

#[tokio::test]
async fn blobs_may_come_from_elsewhere() {
    let storage = Fixture::new().await;
    let (bytes, digest) = content(1000);
    storage.registry.put_blob("a", bytes.clone());
    let url = storage.registry.url();
    let basic = reposure_testing::Auth::Basic(reposure_testing::Users::new("ann", "hush"));
    let fixture = Fixture::with(Options { auth: basic, ..Options::default() }, crate::fixture::basic()).await;
    fixture.registry.put_blob("a", bytes.clone());
    fixture.registry.change_quirks(|quirks| quirks.redirect_blobs = Some(url));
    let stream = fixture.client.get_blob_range(&name("a"), &digest, 10..20).await.unwrap();
    assert_eq!(stream.body.collect().await.unwrap().to_bytes(), bytes.slice(10..20));
    let request = storage.registry.requests().pop().unwrap();
    assert!(request.headers.iter().all(|(name, _)| name != "authorization"), "{request:?}");
    assert!(request.headers.iter().any(|(name, _)| name == "range"));
}

#[tokio::test]
async fn redirects_end() {
    let fixture = Fixture::new().await;
    let (bytes, digest) = content(10);
    fixture.registry.put_blob("a", bytes);
    let own = fixture.registry.url();
    fixture.registry.change_quirks(|quirks| quirks.redirect_blobs = Some(own));
    let error = fixture.client.get_blob(&name("a"), &digest, 10).await.unwrap_err();
    assert_eq!(cause(&error), Cause::Redirect);
    assert_eq!(fixture.registry.requests().len(), 6);
}

#[tokio::test]
async fn connections_are_used_again() {
    let tls = Options { tls: true, ..Options::default() };
    let fixture = Fixture::with(tls, Credentials::Anonymous).await;
    for _ in 0..3 {
        fixture.client.ping().await.unwrap();
    }
    assert_eq!(fixture.registry.connections(), 1);
}
