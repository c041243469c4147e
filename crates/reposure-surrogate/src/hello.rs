//! What the surrogate says of itself.

use reposure_parcel::{
    after,
    hello::{Hello, Limits, Upstream},
    probe, storage, ticket,
    upload::{CHECKED, EARLY_COMMIT},
    whole,
    wire::{self, Right},
};

use crate::{app::App, server::status};

/// The build.
pub(crate) const BUILD: &str = env!("CARGO_PKG_VERSION");

/// Says hello to a bearer of `right`.
pub(crate) fn hello(app: &App, right: Right) -> Hello {
    Hello {
        versions: (wire::OLDEST_VERSION, wire::VERSION),
        build: BUILD.into(),
        namespace: app.namespace.clone(),
        registry: app.name.clone(),
        pod_uid: app.pod_uid.clone(),
        right,
        upstream: Upstream { certificate: status::certificate(app), ..app.health.upstream() },
        limits: Limits::default(),
        capabilities: capabilities(app),
    }
}

fn capabilities(app: &App) -> Vec<String> {
    let always = [
        probe::CAPABILITY,
        whole::CAPABILITY,
        storage::CAPABILITY,
        after::CAPABILITY,
        wire::PLAIN,
        EARLY_COMMIT,
    ];
    let tickets = app.tickets.as_ref().map(|_| ticket::CAPABILITY);
    let checked = app.uploads.are_checked().then_some(CHECKED);
    always.into_iter().chain(tickets).chain(checked).map(Into::into).collect()
}
