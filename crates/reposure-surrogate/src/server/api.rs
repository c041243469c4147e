//! The requests for the API, sent to whoever answers them.

use std::{future::ready, sync::Arc};

use http::{HeaderMap, Request, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use reposure_oci::Body;
use reposure_parcel::{
    exists::Exists,
    problem::{Code, Problem},
    storage::Storage,
    upload::Open,
    wire::{self, Right},
};

use super::connection::{Wrapping, marked};
use crate::{
    after::After,
    answer::{self, Answer},
    app::App,
    body, exists, gateway, hello, probe,
    route::Route,
    storage, tickets,
};

/// Answers a request for the API that came to the port.
pub(crate) async fn answer(app: Arc<App>, request: Request<Incoming>, wrapping: Wrapping) -> Answer {
    if wrapping == Wrapping::None {
        let received = request.size_hint().exact();
        let (right, answer) = tickets::answer(&app, request.map(of_connection)).await;
        // What strangers ask for is not counted, as over TLS.
        if let Some(right) = right {
            app.metrics.answered(right, answer.status(), received, answer.size_hint().exact());
        }
        return marked(answer);
    }
    // Who has no token learns nothing, not even which paths there are.
    marked(match app.gate.admit(request.headers()).await {
        Ok(right) => answer_to(right, app, request.map(of_connection)).await,
        Err(problem) => answer::problem(&problem),
    })
}

/// Answers a request for the API that came in a session: whoever may `exec` into the pod may do all that it can.
pub(crate) async fn answer_session(app: Arc<App>, mut request: Request<Incoming>) -> Answer {
    // HTTP/2 names an authority in every request. It has no meaning here.
    if let Some(path) = request.uri().path_and_query() {
        *request.uri_mut() = Uri::from(path.clone());
    }
    answer_to(Right::Admin, app, request.map(of_connection)).await
}

fn of_connection(incoming: Incoming) -> Body {
    incoming.map_err(Into::into).boxed_unsync()
}

/// Answers a request for the API of the process that this surrogate is part of: whoever runs it holds the registry's credentials.
pub(crate) async fn answer_embedded(app: Arc<App>, request: Request<Body>) -> Answer {
    marked(answer_to(Right::Admin, app, request).await)
}

async fn answer_to(right: Right, app: Arc<App>, request: Request<Body>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let received = request.size_hint().exact();
    let answer = dispatch(right, app.clone(), request).await;
    let answer = answer.unwrap_or_else(|problem| answer::problem(&problem));
    app.metrics.answered(right, answer.status(), received, answer.size_hint().exact());
    tracing::debug!(%method, path, status = answer.status().as_u16(), "answered");
    answer
}

async fn dispatch(right: Right, app: Arc<App>, request: Request<Body>) -> Result<Answer, Problem> {
    let route = Route::parse(request.method(), request.uri())?;
    let needed = route.right(request.method());
    if right < needed {
        return Err(forbidden(right, needed));
    }
    match route {
        Route::Hello => Ok(answer::json(StatusCode::OK, &hello::hello(&app, right))),
        Route::Registry => of_registry(app, request).await,
        Route::ProbeDown(length) => probe::give(length),
        Route::ProbeUp => {
            let (parts, body) = request.into_parts();
            probe::take(&parts.headers, body).await
        }
        Route::Result(id) => app.results.get(&id, request.method()).await,
        Route::Tickets => tickets::give(&app, &body::message(request.into_body()).await?),
        Route::Exists => {
            let wish: Exists = body::message(request.into_body()).await?;
            app.kind.check(&wish.repository)?;
            let work = app.clone();
            later(&app, async move {
                exists::exists(&work.client, &work.uploads, wish, right >= Right::Push).await
            })
            .await
        }
        Route::Storage => {
            let wish: Storage = body::message(request.into_body()).await?;
            app.kind.check(&wish.repository)?;
            let work = app.clone();
            later(&app, async move { storage::probe(&work.client, wish).await }).await
        }
        upload => of_upload(app, upload, request).await,
    }
}

/// Passes a request on to the registry, or answers it by another API of the registry's.
async fn of_registry(app: Arc<App>, mut request: Request<Body>) -> Result<Answer, Problem> {
    if let Some(after) = After::of(&request)? {
        request = after.wait(&app.uploads, request).await?;
    }
    let Some(wish) = app.kind.read(request.method(), request.uri())? else {
        return gateway::pass(app.registry.clone(), &app.results, request).await;
    };
    let work = app.clone();
    let answer = async move { work.kind.answer(wish, work.registry.clone()).await };
    if request.headers().contains_key(wire::ASYNC_HEADER) { later(&app, answer).await } else { answer.await }
}

async fn of_upload(app: Arc<App>, route: Route, request: Request<Body>) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    let headers: HeaderMap = parts.headers;
    match route {
        Route::Chunk(id, offset) => app.uploads.chunk(&id, offset, &headers, body).await,
        Route::Progress(id) => app.uploads.progress(&id).await,
        Route::Commit(id) => app.uploads.commit(&id, &body::message(body).await?).await,
        Route::Cancel(id) => Ok(app.uploads.cancel(&id)),
        Route::Whole(repository, digest) => {
            if let Err(problem) = app.kind.check(&repository) {
                body::drain(&headers, body);
                return Err(problem);
            }
            app.uploads.whole(repository, digest, &headers, body).await
        }
        _ => {
            let wish: Open = body::message(body).await?;
            app.kind.check(&wish.repository)?;
            let work = app.clone();
            later(&app, async move { work.uploads.open(wish, work.tickets.as_ref()).await }).await
        }
    }
}

/// Works on an answer that may come later.
async fn later(
    app: &App,
    work: impl Future<Output = Result<Answer, Problem>> + Send + 'static,
) -> Result<Answer, Problem> {
    let work = async { work.await.unwrap_or_else(|problem| answer::problem(&problem)) };
    Ok(app.results.answer(work, ready(())).await)
}

fn forbidden(right: Right, needed: Right) -> Problem {
    let message = format!("this takes the right to {needed}, and the token gives the right to {right}");
    Problem::new(Code::Forbidden, message)
}
