//! Lists.

use http::Method;
use reposure_oci::registry::Failure;
use reposure_testing::{Fault, Injection, Quirks};

use crate::fixture::{Fixture, failure, name};

fn fill(fixture: &Fixture, count: usize) -> Vec<String> {
    let tags: Vec<String> = (0..count).map(|index| format!("v{index:05}")).collect();
    for tag in &tags {
        fixture.registry.put_manifest("a/b", Some(tag), "application/vnd.oci.image.manifest.v1+json", "{}");
    }
    tags
}

async fn tags(fixture: &Fixture) -> Vec<String> {
    let tags = fixture.client.tags(&name("a/b")).await.unwrap();
    tags.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn pages_are_followed() {
    let fixture = Fixture::with_quirks(|quirks| quirks.page = 10).await;
    let all = fill(&fixture, 25);
    assert_eq!(tags(&fixture).await, all);
    assert_eq!(fixture.registry.count(&Method::GET, "/tags/list"), 3);
    fixture.registry.change_quirks(|quirks| quirks.link_other_host = true);
    assert_eq!(tags(&fixture).await, all, "the host of a link does not matter");
}

#[tokio::test]
async fn a_full_page_without_a_link_is_not_the_last() {
    let fixture = Fixture::with_quirks(|quirks| quirks.no_link = true).await;
    let all = fill(&fixture, 1500);
    assert_eq!(tags(&fixture).await, all);
}

#[tokio::test]
async fn quay_has_a_hundred_names_on_a_page_whatever_is_asked_for() {
    let fixture = Fixture::with_quirks(|quirks| *quirks = Quirks::quay()).await;
    let all = fill(&fixture, 250);
    assert_eq!(tags(&fixture).await, all);
    assert_eq!(fixture.registry.count(&Method::GET, "/tags/list"), 3);
}

#[tokio::test]
async fn null_is_no_tag() {
    let fixture = Fixture::with_quirks(|quirks| quirks.null_lists = true).await;
    let all = fill(&fixture, 2);
    assert_eq!(tags(&fixture).await, all);
    fixture.registry.put_blob("empty", "");
    assert!(fixture.client.tags(&name("empty")).await.unwrap().is_empty());
}

#[tokio::test]
async fn null_is_no_repository() {
    for quirks in [Quirks::distribution_2(), Quirks::nexus()] {
        let fixture = Fixture::with_quirks(|own| *own = Quirks { page: 2, ..quirks }).await;
        assert!(fixture.client.catalog().await.unwrap().is_empty());
        for repository in ["a/b", "c", "d"] {
            fixture.registry.put_blob(repository, "");
        }
        assert_eq!(fixture.client.catalog().await.unwrap(), ["a/b", "c", "d"].map(name));
    }
}

#[tokio::test]
async fn repositories_are_listed() {
    let fixture = Fixture::with_quirks(|quirks| quirks.page = 1).await;
    for repository in ["a/b", "c"] {
        fixture.registry.put_blob(repository, "");
    }
    assert_eq!(fixture.client.catalog().await.unwrap(), [name("a/b"), name("c")]);
    assert!(fixture.client.tags(&name("missing")).await.unwrap_err().is_not_found());
}

fn list(body: &str, link: &str) -> Fault {
    let headers = vec![("content-type".into(), "application/json".into()), ("link".into(), link.into())];
    Fault::Answer { status: 200, headers, body: body.into() }
}

#[tokio::test]
async fn lists_end() {
    let fixture = Fixture::new().await;
    let own = "</v2/a/b/tags/list?n=1000>; rel=\"next\"";
    let fault = list(r#"{"tags": ["x", "x", "sha256:00", null]}"#, own);
    let again = Injection { method: None, path: "/tags/list".into(), skip: 0, times: 9, fault };
    fixture.registry.inject(again);
    assert_eq!(tags(&fixture).await, ["x"]);
    assert_eq!(fixture.registry.requests().len(), 2);
}

#[tokio::test]
async fn a_registry_may_want_smaller_pages() {
    let fixture = Fixture::new().await;
    let all = fill(&fixture, 2);
    fixture.registry.inject(Injection::next(
        Method::GET,
        "/tags/",
        Fault::code(400, "PAGINATION_NUMBER_INVALID"),
    ));
    assert_eq!(tags(&fixture).await, all);
}

#[tokio::test]
async fn pages_for_people_and_endless_ones_are_refused() {
    let fixture = Fixture::new().await;
    fixture.registry.inject(Injection::next(Method::GET, "/v2/_catalog", Fault::html(200)));
    let page = failure(fixture.client.catalog().await);
    assert!(matches!(&page, Failure::Html { title: Some(title), .. } if title == "Some Proxy"), "{page}");
    fixture.registry.inject(Injection::next(Method::GET, "/v2/_catalog", Fault::Endless));
    assert!(matches!(failure(fixture.client.catalog().await), Failure::TooLarge(_)));
}
