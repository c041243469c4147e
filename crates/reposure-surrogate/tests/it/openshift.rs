//! OpenShift's registry behind a surrogate: tokens, names, and lists and deletions by ImageStreams.

use std::{path::PathBuf, time::Duration};

use http::{Method, Request, StatusCode, header};
use reposure_parcel::{
    config::{Access, ApiServer, Kind, Scheme},
    exists::Exists,
    hello::Hello,
    kind::RegistryKind,
    problem::{Code, Problem},
    wire,
};
use reposure_surrogate::Surrogate;
use reposure_testing::{Auth, Cluster, ImageStreamApi, MemoryRegistry, Options, Quirks, RandomImage, Rule};

use crate::harness::{Answer, REPOSITORY, Stage, SurrogateClient, bytes, config, open};

const PROJECT: &str = "some";
const TOKEN: &str = "first-token";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CATALOG: &str = "/v2/_catalog";

/// A surrogate whose token has rights in a project.
struct OpenShift {
    stage: Stage,
    cluster: Cluster,
    folder: tempfile::TempDir,
    _api: ImageStreamApi,
}

impl OpenShift {
    async fn start(rules: Vec<Rule>) -> Self {
        let cluster = Cluster::new(&[PROJECT, "other"]);
        cluster.allow(TOKEN, rules);
        let (auth, quirks) = (Auth::OpenShift(cluster.clone()), Quirks::openshift());
        let options = Options { tls: true, auth, quirks, ..Options::default() };
        let registry = MemoryRegistry::start(options).await.unwrap();
        let api = registry.image_streams().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| -> PathBuf {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let mut config = config(&registry.host(), Access::Loopback);
        config.upstream.scheme = Scheme::Https;
        config.upstream.authority_file = Some(write("service-ca.crt", registry.authority().unwrap()));
        config.upstream.credentials = Some(folder.path().into());
        config.upstream.kind = Kind::OpenShift {
            project: PROJECT.into(),
            api_server: ApiServer {
                address: api.url(),
                authority_file: write("ca.crt", api.authority()),
                token_file: write("token", TOKEN),
            },
        };
        let surrogate = Surrogate::start(config).await.unwrap();
        let client = SurrogateClient::new(&surrogate);
        Self { stage: Stage { registry, surrogate, client }, cluster, folder, _api: api }
    }

    /// Stores an image as if it had been pushed before.
    fn store(&self, seed: u64, repository: &str, tag: &str) -> String {
        let image = RandomImage::new(seed, 1, 100).unwrap();
        self.stage.registry.put_manifest(repository, Some(tag), MANIFEST, image.manifest().clone())
    }

    async fn list(&self, query: &str) -> (Vec<String>, Option<String>) {
        let answer = self.stage.client.get(&format!("{CATALOG}{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let names = answer.json::<serde_json::Value>()["repositories"].clone();
        let link = answer.headers.get(header::LINK).map(|link| link.to_str().unwrap().to_owned());
        let next = link.map(|link| link.split(['<', '>']).nth(1).unwrap()[CATALOG.len()..].to_owned());
        (serde_json::from_value(names).unwrap(), next)
    }

    async fn delete(&self, reference: &str) -> Answer {
        self.stage.client.method(Method::DELETE, &format!("/v2/{REPOSITORY}/manifests/{reference}")).await
    }

    fn tags(&self) -> Vec<String> {
        self.stage.registry.tags(REPOSITORY)
    }
}

#[tokio::test]
async fn an_image_is_pushed_with_the_token_alone_and_its_stream_is_made() {
    let openshift = OpenShift::start(Rule::editor(PROJECT)).await;
    let (client, image) = (&openshift.stage.client, RandomImage::new(1, 1, 1000).unwrap());
    assert!(openshift.list("").await.0.is_empty());
    for blob in image.blobs() {
        let progress = client.open(&blob).await;
        assert_eq!(client.put(&progress.id, 0, &blob).await.status, 200);
        let digest = reposure_oci::Digest::sha256_of(&blob);
        assert_eq!(client.commit(&progress.id, &digest, blob.len()).await.status, 201);
    }
    let put = Request::put(format!("/v2/{REPOSITORY}/manifests/v1")).header("content-type", MANIFEST);
    assert_eq!(client.send(put, image.manifest().clone()).await.status, 201);
    assert_eq!(openshift.list("").await, (vec![REPOSITORY.to_owned()], None));
    let tags = client.get(&format!("/v2/{REPOSITORY}/tags/list")).await;
    assert_eq!(tags.json::<serde_json::Value>()["tags"], serde_json::json!(["v1"]));
    // Nothing is exchanged for it, so that nobody gets to be `anonymous`.
    assert_eq!(openshift.stage.registry.count(&Method::GET, "/openshift/token"), 0);
    let hello: Hello = client.get(wire::HELLO).await.json();
    assert_eq!(hello.upstream.registry_kind(), Some(RegistryKind::OpenShift));
}

#[tokio::test]
async fn a_token_that_was_renewed_is_shown_from_then_on() {
    let openshift = OpenShift::start(Rule::editor(PROJECT)).await;
    openshift.store(1, REPOSITORY, "v1");
    let path = format!("/v2/{REPOSITORY}/manifests/v1");
    assert_eq!(openshift.stage.client.get(&path).await.status, 200);
    openshift.cluster.allow("second-token", Rule::editor(PROJECT));
    openshift.cluster.revoke(TOKEN);
    std::fs::write(openshift.folder.path().join("token"), "second-token\n").unwrap();
    // For the API server it is read each time; for the registry it is looked for every 5 s.
    assert_eq!(openshift.list("").await.0, [REPOSITORY]);
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let answer = openshift.stage.client.get(&path).await;
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.code(), Code::UpstreamDenied);
        assert!(tokio::time::Instant::now() < until, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_name_that_is_none_there_is_refused_before_the_registry_is_asked() {
    let openshift = OpenShift::start(Rule::editor(PROJECT)).await;
    let client = &openshift.stage.client;
    openshift.stage.registry.clear_requests();
    let exists = |name: &str| Exists { repository: name.parse().unwrap(), digests: Vec::new(), uploads: 0 };
    let blob = bytes(1, 10);
    let upload =
        |name: &str| reposure_parcel::upload::Open { repository: name.parse().unwrap(), ..open(&blob) };
    for name in ["app", "some/app/web"] {
        let whole = format!("{}/{name}/{}", wire::BLOBS, reposure_oci::Digest::sha256_of(&blob));
        let answers = [
            client.post(wire::EXISTS, &exists(name)).await,
            client.post(wire::UPLOADS, &upload(name)).await,
            client.send(Request::put(whole), blob.clone()).await,
            client.get(&format!("/v2/{name}/tags/list")).await,
            client.method(Method::DELETE, &format!("/v2/{name}/manifests/v1")).await,
        ];
        for answer in answers {
            let problem = answer.problem();
            assert_eq!(problem.code, Code::BadRequest);
            let expected = format!(
                "{name} is no name in this registry: OpenShift wants PROJECT/NAME, exactly two parts"
            );
            assert_eq!(problem.message, expected);
        }
    }
    let asked = openshift.stage.registry.requests();
    assert!(asked.iter().all(|entry| entry.path == "/v2/"), "{asked:?}");
    assert_eq!(client.post(wire::EXISTS, &exists(REPOSITORY)).await.status, 200);
}

#[tokio::test]
async fn streams_are_listed_page_by_page_and_those_of_other_projects_are_not() {
    let openshift = OpenShift::start(Rule::editor(PROJECT)).await;
    let names: Vec<String> = (0..5).map(|number| format!("{PROJECT}/app-{number}")).collect();
    for name in &names {
        openshift.store(1, name, "v1");
    }
    openshift.store(1, "other/app", "v1");
    let (mut found, mut query, mut pages) = (Vec::new(), Some("?n=2".to_owned()), 0);
    while let Some(some) = query {
        let (page, next) = openshift.list(&some).await;
        found.extend(page);
        query = next;
        pages += 1;
    }
    assert_eq!((found, pages), (names.clone(), 3));
    // By names, as clients do that were told by no link.
    assert_eq!(openshift.list(&format!("?n=2&last={}", names[3])).await.0, names[4..]);
    let asked = openshift.stage.registry.requests();
    let asked: Vec<_> = asked.iter().filter(|entry| entry.path.ends_with("/imagestreams")).collect();
    assert!(asked.iter().all(|entry| entry.query.starts_with("limit=2")), "{asked:?}");
    assert_eq!(openshift.stage.registry.count(&Method::GET, CATALOG), 0);
}

#[tokio::test]
async fn a_tag_is_deleted_alone() {
    let openshift = OpenShift::start(Rule::editor(PROJECT)).await;
    openshift.store(1, REPOSITORY, "v1");
    openshift.store(1, REPOSITORY, "v2");
    assert_eq!(openshift.delete("v1").await.status, StatusCode::ACCEPTED);
    assert_eq!(openshift.tags(), ["v2"]);
    let missing = openshift.delete("v1").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(!missing.headers.contains_key(wire::PROBLEM_HEADER), "it is the registry's, not the surrogate's");
    assert_eq!(openshift.stage.registry.count(&Method::DELETE, "/v2/"), 0);
}

#[tokio::test]
async fn a_digest_is_deleted_with_its_tags() {
    let openshift = OpenShift::start(Rule::editor(PROJECT)).await;
    let digest = openshift.store(1, REPOSITORY, "v1");
    openshift.store(1, REPOSITORY, "v2");
    let other = openshift.store(2, REPOSITORY, "v3");
    assert_eq!(openshift.delete(&digest).await.status, StatusCode::ACCEPTED);
    assert_eq!(openshift.tags(), ["v3"]);
    assert_eq!(openshift.delete(&digest).await.status, StatusCode::NOT_FOUND);
    // A tag that was moved keeps what it was of before.
    openshift.store(1, REPOSITORY, "v3");
    let kept = openshift.delete(&other).await.problem();
    assert_eq!(kept.code, Code::UpstreamRefused);
    assert!(kept.message.starts_with("tag v3 of ImageStream some/app is of another image now"), "{kept:?}");
    assert_eq!(openshift.tags(), ["v3"]);
}

#[tokio::test]
async fn missing_rights_are_named() {
    let openshift = OpenShift::start(Rule::all(PROJECT, &["imagestreams/layers"], &["get"])).await;
    openshift.store(1, REPOSITORY, "v1");
    let denied = |problem: Problem, verb: &str| {
        assert_eq!((problem.code, problem.upstream_status), (Code::UpstreamDenied, Some(403)), "{problem:?}");
        assert!(problem.message.contains(&format!("cannot {verb} in the namespace \"some\"")), "{problem:?}");
        assert!(problem.message.ends_with("which reposure registry create gives it"), "{problem:?}");
    };
    denied(openshift.stage.client.get(CATALOG).await.problem(), "list");
    denied(openshift.delete("v1").await.problem(), "delete");
    assert_eq!(openshift.tags(), ["v1"]);
    let blob = bytes(1, 10);
    let whole = format!("{}/{REPOSITORY}/{}", wire::BLOBS, reposure_oci::Digest::sha256_of(&blob));
    let push = openshift.stage.client.send(Request::put(whole), blob).await.problem();
    assert_eq!((push.code, push.upstream_status), (Code::UpstreamDenied, Some(401)));
}

#[tokio::test]
async fn an_api_server_that_does_not_know_the_token_is_told_from_one_that_is_away() {
    let openshift = OpenShift::start(Rule::editor(PROJECT)).await;
    openshift.store(1, REPOSITORY, "v1");
    std::fs::write(openshift.folder.path().join("token"), "nobody's").unwrap();
    assert_eq!(openshift.stage.client.get(CATALOG).await.problem().upstream_status, Some(401));
    std::fs::remove_file(openshift.folder.path().join("token")).unwrap();
    let away = openshift.stage.client.get(CATALOG).await.problem();
    assert_eq!((away.code, away.transient), (Code::UpstreamUnreachable, true), "{away:?}");
}
