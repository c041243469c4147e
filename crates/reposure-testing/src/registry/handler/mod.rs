//! The endpoints.

mod blobs;
mod lists;
mod manifests;
mod referrers;
mod uploads;

use http::{Method, StatusCode, request::Parts};

use super::{
    answer::{self, Answer, Halt},
    auth,
    intake::Intake,
    options::FirstPush,
    route::Route,
    shared::Shared,
};

/// Answers a request that may come in.
pub(crate) async fn handle(
    shared: &Shared,
    parts: &Parts,
    route: Route,
    intake: &mut Intake,
) -> Result<Answer, Halt> {
    let query = parts.uri.query().unwrap_or_default();
    intake.check_length()?;
    if shared.quirks().two_parts && route.repository().is_some_and(|name| name.split('/').count() != 2) {
        // Without a word, as `openshift::check` does.
        return Ok(answer::status(StatusCode::BAD_REQUEST));
    }
    if let Some(refusal) = unmade(shared, &route, &parts.method) {
        return Ok(refusal);
    }
    match route {
        Route::Base => Ok(answer::json(StatusCode::OK, &serde_json::json!({}))),
        Route::Token if parts.method == Method::POST => {
            let form = intake.all().await?;
            Ok(auth::post_token(shared, &String::from_utf8_lossy(&form)))
        }
        Route::Token => Ok(auth::get_token(shared, &parts.headers, query)),
        Route::Catalog => Ok(lists::catalog(shared, query)),
        Route::Tags { repository } => Ok(lists::tags(shared, &repository, query)),
        Route::Blob { repository, digest } => Ok(blobs::handle(shared, parts, &repository, &digest)),
        Route::Referrers { repository, digest } => Ok(referrers::list(shared, &repository, &digest, query)),
        Route::Manifest { repository, reference } => {
            manifests::handle(shared, parts, &repository, &reference, intake).await
        }
        Route::Uploads { repository } => uploads::open(shared, parts, &repository, query, intake).await,
        Route::Upload { repository, id } => uploads::handle(shared, parts, &repository, &id, intake).await,
        Route::Unknown => Ok(answer::bytes(StatusCode::NOT_FOUND, "404 page not found\n")),
    }
}

/// Refuses to push to a repository that would have to be made.
fn unmade(shared: &Shared, route: &Route, method: &Method) -> Option<Answer> {
    let name = route.written(method).filter(|name| {
        shared.quirks().first_push == FirstPush::MakesNothing && !shared.store().has_repository(name)
    })?;
    let message =
        format!("The repository with name '{name}' does not exist in the registry with id '123456789012'");
    Some(answer::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", &message))
}

fn not_allowed() -> Answer {
    answer::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "the operation is unsupported")
}
