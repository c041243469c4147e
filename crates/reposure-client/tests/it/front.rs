//! What stands before an API server: those who say when to come back, and those who speak HTTP/2 alone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DeleteParams};
use reposure_client::{
    progress::Progress,
    pull::PullOptions,
    push::{PushOptions, push},
    session::{Session, SessionError},
};
use reposure_parcel::wire::Right;
use reposure_testing::{
    ForwardProxy, RandomImage, SocksProxy, SocksTarget, Wanted,
    api_server::{Behaviour, Failure, How},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    pull,
    support::{Scene, image},
};

/// Nobody else tries a request for a token or the hello once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_came_too_soon_comes_back_when_it_is_told_to() {
    let scene = Scene::new().await;
    for (path, how, least) in [
        ("/token", How::RetryAfter(429, 2), 2),
        ("/hello", How::RetryAfter(429, 2), 2),
        ("/hello", How::RetryAfter(503, 2), 2),
        // The other form, which gateways give: both dates are in whole seconds.
        ("/token", How::RetryAt(503, 2), 1),
        ("/hello", How::RetryAt(503, 2), 1),
    ] {
        scene.fail(path, how);
        let began = Instant::now();
        scene.session(Right::Pull).await.unwrap_or_else(|error| panic!("{path} {how:?}: {error:?}"));
        let (waited, least) = (began.elapsed(), Duration::from_secs(least));
        assert!(waited >= least, "{path} {how:?}: {waited:?}");
    }
}

/// Each request of a push: the whole push takes as long.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_waits_as_long_as_each_of_its_requests_is_told_to() {
    const WAIT: Duration = Duration::from_secs(2);
    let mut pushes = JoinSet::new();
    for path in ["/exists", "/uploads", "/0", "/4194304", "/commit", "/v1/blobs/", "/manifests/"] {
        pushes.spawn(async move {
            let scene = Scene::new().await;
            let image = RandomImage::new(120, 2, 5 << 20).unwrap();
            let artifact = scene.open(scene.write_oci_archive(&image)).await;
            let session = scene.session(Right::Push).await.unwrap();
            scene.fail(path, How::RetryAfter(429, WAIT.as_secs()));
            let (name, began) = (crate::support::image("app:v1"), Instant::now());
            push(session, &artifact, &name, PushOptions::default(), Progress::none()).await.unwrap();
            assert!(began.elapsed() >= WAIT, "{path}: {:?}", began.elapsed());
            scene.assert_holds(&image, "app", "v1");
        });
    }
    while let Some(done) = pushes.join_next().await {
        done.unwrap();
    }
}

/// As the real one may close a connection that a log has ended on, while the next question is under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_outlives_its_connection_once_and_a_change_does_not() {
    let scene = Scene::new().await;
    let pods: Api<Pod> = Api::namespaced(scene.api_server().client(), "ns");
    let path = "/api/v1/namespaces/ns/pods/here";
    scene.api_server.put_object(path, json!({"metadata": {"name": "here"}, "spec": {"containers": []}}));
    pods.get("here").await.unwrap();
    scene.fail("/pods/here", How::CutBefore);
    pods.get("here").await.unwrap();
    scene.api_server.fail(Failure { times: 2, ..Failure::next("/pods/here", How::CutBefore) });
    pods.get("here").await.unwrap_err();
    assert_eq!(scene.api_server.heal(), 0);
    scene.fail("/pods/here", How::CutBefore);
    pods.delete("here", &DeleteParams::default()).await.unwrap_err();
    assert!(scene.api_server.object(path).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_wait_for_long_is_told_why() {
    let scene = Scene::new().await;
    scene.fail("/hello", How::RetryAfter(503, 60));
    let Err(SessionError::ApiServer { status, retry_after, .. }) = scene.session(Right::Pull).await else {
        panic!("no refusal")
    };
    assert_eq!((status.as_u16(), retry_after), (503, Some(60)));
    scene.fail("/hello", How::RetryAt(503, 60));
    let error = scene.session(Right::Pull).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_where_nothing_else_is() {
    let scene = Scene::with(Behaviour { http2_only: true, ..Behaviour::default() }).await;
    let image = RandomImage::new(121, 3, 12 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.api_server.fail(Failure { path: "/4194304".into(), after: 0, times: 2, how: How::CutAfter });
    scene.push(&artifact, "app:v1").await.unwrap();
    scene.assert_holds(&image, "app", "v1");
    let pulled = crate::pull::pull_into_file(&scene, "app:v1", PullOptions::default()).await.unwrap();
    assert!(pulled == image.blobs());
}

/// A company's proxy for all that goes out, with what stands before an API server behind it: either kind of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_leads_to_what_speaks_http_2_alone_and_to_what_does_not() {
    for (seed, http2_only) in [(122, true), (123, false)] {
        let scene = Scene::with(Behaviour { http2_only, ..Behaviour::default() }).await;
        let proxy = ForwardProxy::start(Some(scene.api_server.address())).await.unwrap();
        let layers = RandomImage::new(seed, 2, 6 << 20).unwrap();
        scene.fail("/4194304", How::CutAfter);
        let at = format!("http://me:p%40ss@{}", proxy.host());
        there_and_back(&scene, &scene.session_behind(&at, Right::Push).await.unwrap(), &layers).await;
        let asked = proxy.asked();
        let line = format!("CONNECT {0} HTTP/1.1", scene.api_server.address());
        assert!(!asked.is_empty() && asked.iter().all(|asked| asked.line == line), "{asked:?}");
        let user = Some("Basic bWU6cEBzcw==".to_owned());
        assert!(asked.iter().all(|asked| asked.authorization == user), "{asked:?}");
    }
}

/// A proxy of either kind; over TLS, it may be shown a password.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_may_speak_tls_itself() {
    let scene = Scene::new().await;
    let proxy = ForwardProxy::start_over_tls(Some(scene.api_server.address())).await.unwrap();
    let layers = RandomImage::new(124, 2, 6 << 20).unwrap();
    let at = format!("https://me:p%40ss@{}", proxy.host());
    there_and_back(&scene, &scene.session_behind(&at, Right::Push).await.unwrap(), &layers).await;
    let asked = proxy.asked();
    let user = Some("Basic bWU6cEBzcw==".to_owned());
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.authorization == user), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_may_speak_socks_5() {
    for (seed, scheme, user) in
        [(125, "socks5", None), (126, "socks5h", Some(("me".to_owned(), "p@ss".to_owned())))]
    {
        let scene = Scene::new().await;
        let address = scene.api_server.address();
        let proxy = SocksProxy::start(Some(address), user.is_some()).await.unwrap();
        let layers = RandomImage::new(seed, 2, 6 << 20).unwrap();
        let shown = user.as_ref().map_or("", |_| "me:p%40ss@");
        let at = format!("{scheme}://{shown}{}", proxy.host());
        there_and_back(&scene, &scene.session_behind(&at, Right::Push).await.unwrap(), &layers).await;
        let wanted = proxy.wanted();
        let expected = Wanted { target: SocksTarget::Address(address), user };
        assert!(!wanted.is_empty() && wanted.iter().all(|wanted| *wanted == expected), "{wanted:?}");
    }
}

/// An address goes as an address, in either version of IP, and a name as a name, which the proxy alone may know.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_speaks_socks_5_gets_addresses_and_names() {
    let scene = Scene::new().await;
    let proxy = SocksProxy::start(Some(scene.api_server.address()), true).await.unwrap();
    // As long as those of cloud providers. Together they may not be longer than what hyper-util has room for, 262 bytes.
    let name = format!("{}.gr7.eu-west-1.eks.example", "ABCDEF0123456789".repeat(2));
    let password = "x".repeat(100);
    for (host, target) in [
        ("[fd00::1]", SocksTarget::Address("[fd00::1]:6443".parse().unwrap())),
        ("10.1.2.3", SocksTarget::Address("10.1.2.3:6443".parse().unwrap())),
        (&name, SocksTarget::Name(name.clone(), 6443)),
    ] {
        let at = format!("socks5://me:{password}@{}", proxy.host());
        let url = format!("http://{host}:6443");
        scene.session_to(&url, &at, Right::Pull).await.unwrap();
        let user = Some(("me".to_owned(), password.clone()));
        let wanted = proxy.wanted();
        let expected = Wanted { target, user };
        assert!(!wanted.is_empty() && wanted.iter().all(|wanted| *wanted == expected), "{wanted:?}");
    }
}

/// Those who lead nowhere, and those who want to know more.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_speaks_socks_5_and_refuses_is_named() {
    let scene = Scene::new().await;
    let refusing = SocksProxy::start(None, true).await.unwrap();
    let asking = SocksProxy::start(Some(scene.api_server.address()), true).await.unwrap();
    for (proxy, user) in [(&refusing, "me:hunter2@"), (&asking, "")] {
        let at = format!("socks5://{user}{}", proxy.host());
        let text = causes(&scene.session_behind(&at, Right::Pull).await.unwrap_err());
        assert!(text.contains(&format!("the proxy socks5://{}", proxy.host())), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// Pushes an image and pulls it again.
async fn there_and_back(scene: &Scene, session: &Arc<Session>, layers: &RandomImage) {
    let artifact = scene.open(scene.write_oci_archive(layers)).await;
    let wanted = image("app:v1");
    push(session.clone(), &artifact, &wanted, PushOptions::default(), Progress::none()).await.unwrap();
    scene.assert_holds(layers, "app", "v1");
    let pulled = pull::pull_into_file_over(session, "app:v1", PullOptions::default()).await.unwrap();
    assert!(pulled == layers.blobs());
}

/// Returns an error with all its causes.
fn causes(error: &SessionError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// It is named, and what it was shown is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_named() {
    let scene = Scene::new().await;
    let proxy = ForwardProxy::start(None).await.unwrap();
    let at = format!("http://me:hunter2@{}", proxy.host());
    let error = scene.session_behind(&at, Right::Pull).await.unwrap_err();
    let text = causes(&error);
    assert!(text.contains(&format!("the proxy http://{}", proxy.host())), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    // The token came another way.
    assert!(scene.api_server.seen().iter().all(|seen| seen.path.contains("/token")));
}
