//! `/v2/_catalog` and `/v2/NAME/tags/list`.

use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::registry::{
    answer::{self, Answer},
    route::parameter,
    shared::Shared,
};

/// More than this is refused in `n` of the catalog, as Distribution does.
const CATALOG_ENTRIES: usize = 1000;

pub(crate) fn catalog(shared: &Shared, query: &str) -> Answer {
    if shared.quirks().no_catalog {
        return answer::error(StatusCode::FORBIDDEN, "DENIED", "the catalog is for administrators");
    }
    if parameter(query, "n").and_then(|n| n.parse().ok()).is_some_and(|n: usize| n > CATALOG_ENTRIES) {
        return answer::error(
            StatusCode::BAD_REQUEST,
            "PAGINATION_NUMBER_INVALID",
            "invalid number of results",
        );
    }
    let names = shared.store().repositories();
    page(shared, query, "/v2/_catalog", names, |names| json!({"repositories": names}))
}

pub(crate) fn tags(shared: &Shared, repository: &str, query: &str) -> Answer {
    let Some(mut names) = shared.store().tags(repository) else {
        return answer::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry");
    };
    if shared.quirks().digests_as_tags {
        names.extend(shared.store().digests(repository));
    }
    let path = format!("/v2/{repository}/tags/list");
    page(shared, query, &path, names, |names| json!({"name": repository, "tags": names}))
}

fn page(
    shared: &Shared,
    query: &str,
    path: &str,
    names: Vec<String>,
    body: impl Fn(Value) -> Value,
) -> Answer {
    let quirks = shared.quirks();
    let asked = parameter(query, "n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let size = if quirks.no_link { asked } else { asked.min(quirks.page) };
    let word = |name: &str| super::super::digest::sha256(name.as_bytes());
    let last = match parameter(query, "next_page") {
        Some(wanted) => names.iter().find(|name| word(name) == wanted).cloned(),
        None => parameter(query, "last").filter(|_| !quirks.opaque_pages),
    };
    let last = last.unwrap_or_default();
    let rest: Vec<String> = names.into_iter().filter(|name| *name > last).collect();
    let more = rest.len() > size;
    let here: Vec<String> = rest.into_iter().take(size).collect();
    let next = here.last().filter(|_| more && !quirks.no_link);
    let link = next.map(|last| {
        let place =
            if quirks.opaque_pages { format!("next_page={}", word(last)) } else { format!("last={last}") };
        link(path, size, &place, quirks.link_other_host)
    });
    let mut found = answer::json(StatusCode::OK, &body(items(&here, quirks.null_lists)));
    if let Some(link) = link {
        answer::set(&mut found, header::LINK.as_str(), &link);
    }
    found
}

fn items(names: &[String], nulls: bool) -> Value {
    match (nulls, names.is_empty()) {
        (true, true) => Value::Null,
        (true, false) => names.iter().map(|name| json!(name)).chain([Value::Null]).collect(),
        (false, _) => json!(names),
    }
}

fn link(path: &str, size: usize, place: &str, other_host: bool) -> String {
    let host = if other_host { "http://inside.example:5000" } else { "" };
    format!("<{host}{path}?{place}&n={size}>; rel=\"next\"")
}
