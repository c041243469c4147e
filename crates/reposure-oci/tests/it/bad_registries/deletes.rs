//! A tag that is deleted by way of a dummy, which takes a dozen requests.

use reposure_testing::{Fault, Injection, TagDelete};

use super::{short, text};
use crate::fixture::{Fixture, name};

/// More than a deletion has.
const REQUESTS: usize = 20;

#[tokio::test]
async fn what_fails_in_a_deletion_leaves_the_other_tags_and_can_be_made_good() {
    for fault in
        [Fault::DropAfter(0), Fault::DropAnswer, Fault::Truncate(1), Fault::status(500), Fault::html(200)]
    {
        for (skip, times) in (0..REQUESTS).flat_map(|skip| [(skip, 1), (skip, 1000)]) {
            let fixture = Fixture::with_quirks(|quirks| quirks.tag_delete = TagDelete::Unsupported).await;
            let fixture = fixture.with_limits(short(2));
            for (tag, seed) in [("one", 1), ("same", 1), ("other", 2)] {
                fixture.put_image("a", tag, seed);
            }
            fixture.registry.clear_requests();
            let content = |tag| fixture.registry.manifest("a", tag);
            let before = ["same", "other"].map(content);
            fixture.registry.inject(Injection {
                method: None,
                path: "/v2/a/".into(),
                skip,
                times,
                fault: fault.clone(),
            });
            let delete =
                || async { fixture.client.delete_tag_safely(&name("a"), &"one".parse().unwrap()).await };
            let deleted = delete().await;
            let case = format!("{fault:?} from request {skip} on, {times} times: {deleted:?}");
            fixture.registry.heal();
            assert_eq!(["same", "other"].map(content), before, "{case}");
            match deleted {
                Ok(_) => {
                    assert_eq!(fixture.registry.tags("a"), ["other", "same"], "{case}");
                    assert!(
                        fixture.registry.requests().len() <= REQUESTS,
                        "not all requests have failed once"
                    );
                }
                Err(error) => {
                    let error = text(&error);
                    assert!(error.contains(&fixture.registry.host()) && error.contains("/v2/a/"), "{error}");
                    // The answer to the last request may be what was lost.
                    if fixture.registry.tags("a").contains(&"one".into()) {
                        delete().await.unwrap();
                    }
                    assert_eq!(fixture.registry.tags("a"), ["other", "same"], "{case}");
                }
            }
            assert_eq!(["same", "other"].map(content), before, "{case}");
        }
    }
}
