//! Harbor behind a surrogate: tokens at its Service, and lists of who may not see all projects.

use http::{Method, header};
use reposure_parcel::{config::Kind, problem::Code, wire};
use reposure_testing::{Auth, Fault, Injection, Options, Quirks, RandomImage, Users};

use crate::harness::Stage;

const CATALOG: &str = "/v2/_catalog";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A Harbor that names a host which nobody knows here as that of its tokens.
async fn harbor(folder: &tempfile::TempDir, realm: Option<String>) -> Stage {
    std::fs::write(folder.path().join("username"), "robot$shop+push").unwrap();
    std::fs::write(folder.path().join("password"), "hush").unwrap();
    let users = Users::new("robot$shop+push", "hush");
    let named = Some("https://harbor.invalid/service/token".to_owned());
    let auth = Auth::Bearer { users, anonymous_pull: false, expires_in: None, post: true, realm: named };
    let options = Options { quirks: Quirks::harbor(), auth, ..Options::default() };
    let mut stage = Stage::with(options, |_| {}).await;
    let mut config =
        crate::harness::config(&stage.registry.host(), reposure_parcel::config::Access::Loopback);
    config.upstream.credentials = Some(folder.path().into());
    config.upstream.kind = Kind::Harbor;
    config.upstream.realm = realm.map(|path| format!("{}{path}", stage.registry.url()));
    stage.surrogate = reposure_surrogate::Surrogate::start(config).await.unwrap();
    stage.client = crate::harness::SurrogateClient::new(&stage.surrogate);
    stage
}

fn answer(stage: &Stage, path: &str, times: usize, body: String) {
    let headers = vec![("content-type".into(), "application/json".into())];
    let fault = Fault::Answer { status: 200, headers, body };
    stage.registry.inject(Injection { method: Some(Method::GET), path: path.into(), skip: 0, times, fault });
}

fn named(names: &[String]) -> String {
    serde_json::to_string(&names.iter().map(|name| serde_json::json!({"name": name})).collect::<Vec<_>>())
        .unwrap()
}

#[tokio::test]
async fn tokens_are_fetched_where_the_specification_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = "/v2/shop/app/manifests/v1";
    let outside = harbor(&folder, None).await;
    assert_eq!(outside.client.get(path).await.code(), Code::UpstreamUnreachable);
    let inside = harbor(&folder, Some("/token".into())).await;
    let image = RandomImage::new(1, 1, 100).unwrap();
    inside.registry.put_manifest("shop/app", Some("v1"), MANIFEST, image.manifest().clone());
    assert_eq!(inside.client.get(path).await.status, 200);
    assert!(inside.registry.count(&Method::GET, "/token") > 0);
    let one_part = inside.client.get("/v2/app/tags/list").await.problem();
    assert_eq!(one_part.code, Code::BadRequest);
    assert!(one_part.message.ends_with("Harbor wants PROJECT/NAME, two parts or more"), "{one_part:?}");
}

#[tokio::test]
async fn who_may_see_all_gets_the_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let stage = harbor(&folder, Some("/token".into())).await;
    stage.registry.put_blob("shop/app", "blob");
    let listed = stage.client.get(CATALOG).await.json::<serde_json::Value>();
    assert_eq!(listed["repositories"], serde_json::json!(["shop/app"]));
    assert_eq!(stage.registry.count(&Method::GET, "/api/"), 0);
}

#[tokio::test]
async fn a_robot_gets_the_repositories_of_its_projects() {
    let folder = tempfile::tempdir().unwrap();
    let stage = harbor(&folder, Some("/token".into())).await;
    stage.registry.change_quirks(|quirks| quirks.no_catalog = true);
    let many: Vec<String> = (0..100).map(|number| format!("shop/app-{number:03}")).collect();
    let last = ["shop/app-100".to_owned()];
    answer(&stage, "/projects/shop/repositories", 1, named(&many));
    answer(&stage, "/projects/shop/repositories", 1, named(&last));
    // What anyone may see lists nothing for this robot, or nothing at all.
    stage.registry.inject(Injection::next(Method::GET, "/projects/library/repositories", Fault::status(403)));
    answer(&stage, "/projects/empty/repositories", 1, "null".into());
    let projects = ["library", "shop", "empty"].map(ToOwned::to_owned);
    answer(&stage, "/api/v2.0/projects", 2, named(&projects));
    let (mut found, mut path) = (Vec::new(), Some(CATALOG.to_owned()));
    while let Some(next) = path {
        let answer = stage.client.get(&next).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let names = answer.json::<serde_json::Value>()["repositories"].clone();
        found.extend(serde_json::from_value::<Vec<String>>(names).unwrap());
        let link = answer.headers.get(header::LINK).map(|link| link.to_str().unwrap().to_owned());
        path = link.map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
    }
    assert_eq!(found, [&many[..], &last].concat());
    let asked = stage.registry.requests();
    let of_api: Vec<_> = asked.iter().filter(|entry| entry.path.starts_with("/api/")).collect();
    let basic = ("authorization".to_owned(), "Basic".to_owned());
    assert!(of_api.iter().all(|entry| entry.headers.contains(&basic)), "{of_api:?}");
    assert_eq!(
        stage.registry.count(&Method::GET, CATALOG),
        2,
        "once to be asked for a password, once with it"
    );
    let malformed = stage.client.get("/v2/_catalog?next=shop").await;
    assert_eq!(malformed.code(), Code::BadRequest);
    assert!(!malformed.headers.contains_key(wire::RESULT_HEADER));
}
