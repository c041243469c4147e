//! Images that are read.

use http::Method;
use reposure_oci::{ImageName, Reference, remote::fetch, sink::write_artifact};
use reposure_testing::{Fault, Injection};

use super::{faults_of_times, names_status, short, text};
use crate::fixture::{Fixture, name};

#[tokio::test]
async fn an_image_is_read_as_it_is_or_not_at_all() {
    let whole = Fixture::new().await;
    let digest = whole.put_image("a", "v1", 1);
    let name = ImageName { repository: name("a"), reference: Reference::Digest(digest) };
    let artifact = fetch(&whole.client, &name, None).await.unwrap();
    let right = write_artifact(&artifact, Vec::new(), Vec::new()).await.unwrap();
    let fixture = Fixture::new().await.with_limits(short(2));
    fixture.put_image("a", "v1", 1);
    for path in ["/manifests/", "/blobs/"] {
        for (fault, times) in faults_of_times() {
            let case = format!("{path} {fault:?} {times}");
            let is_answered = times > 1 && matches!(fault, Fault::Answer { .. });
            fixture.registry.inject(Injection { times, ..Injection::next(Method::GET, path, fault) });
            let read = async {
                let artifact = fetch(&fixture.client, &name, None).await.map_err(|error| text(&error))?;
                write_artifact(&artifact, Vec::new(), Vec::new()).await.map_err(|error| text(&error))
            };
            match read.await {
                Ok(bytes) => assert!(bytes == right, "{case}"),
                Err(error) => {
                    let url = format!("{}/v2/a{path}", fixture.registry.url());
                    let by_path = error.contains(&fixture.registry.host()) && error.contains("/v2/a/");
                    assert!(error.contains(&url) || by_path, "{case}: {error}");
                    // Other bytes than there should be came with what says that all is well.
                    let is_other = error.contains("the source is damaged");
                    assert!(!is_answered || is_other || names_status(&error), "{case}: {error}");
                }
            }
            fixture.registry.heal();
        }
    }
}
