//! The manifest of a small image, sent beside its last blobs: on a long way their answers cost a round trip more.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response};
use reposure_oci::{
    Artifact, Body, Descriptor, Digest, RawManifest, Reference, Referrer, Transport, TransportError, registry,
};
use reposure_parcel::{after, limits};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Context, manifest_of, reference_of, whole};
use crate::session::Session;

/// How much there may be to send at most, in bytes: the surrogate waits for it for some seconds.
const MOST: u64 = 32 << 20;
/// How long the answer is waited for once each blob has its own: as long as the manifest may have waited, and a little for the registry to
/// store it. What is given up then is sent again, as what was lost on its way.
const GRACE: Duration = after::PATIENCE.saturating_add(Duration::from_secs(4));

/// A manifest that waits at the surrogate for the blobs that are missing. Its exchange ends with this.
pub(super) struct Beside(AbortOnDropHandle<Option<Digest>>);

impl Beside {
    /// Sends the manifest of an image of which only these blobs are missing, if each of them goes in one request, all go at once, and it is
    /// of use.
    pub(super) fn send(
        context: &Arc<Context>,
        nodes: &[Artifact],
        name: &Reference,
        missing: &[Descriptor],
    ) -> Option<Self> {
        let [image] = nodes else { return None };
        let can_wait = context.session.hello().can(after::CAPABILITY);
        if missing.is_empty() || !context.session.is_far() || !can_wait || !fits(context, missing) {
            return None;
        }
        let blobs: Vec<Digest> = missing.iter().map(|blob| blob.digest.clone()).collect();
        let value = after::value(&blobs).parse::<HeaderValue>().ok()?;
        let (image, name, context) = (image.clone(), name.clone(), context.clone());
        Some(Self(AbortOnDropHandle::new(tokio::spawn(async move {
            let manifest = manifest_of(&image).await.ok().filter(may_wait)?;
            let reference = reference_of(&manifest, Some(&name)).ok()?;
            let limits = registry::Limits { attempts: 1, ..registry::Limits::default() };
            let waiting = Waiting { session: context.session.clone(), value };
            let client = registry::Client::with_limits(waiting, limits);
            let stored = client.put_manifest(&context.repository, &reference, &manifest).await;
            // What was refused is sent again, patiently, and is refused again if there is cause.
            stored.inspect_err(|error| tracing::debug!(%error, "the manifest goes behind the blobs")).ok()
        }))))
    }

    /// Returns the manifest's digest if the registry has confirmed it, once it has confirmed every blob.
    ///
    /// # Cancel safety
    /// Dropping the future ends the exchange.
    pub(super) async fn confirmed(self) -> Option<Digest> {
        timeout(GRACE, self.0).await.ok()?.ok()?
    }
}

/// Tells whether a manifest may wait. One that refers to another is not all that is to be stored: a registry may want to be told of it.
fn may_wait(manifest: &RawManifest) -> bool {
    manifest.bytes().len() <= after::LONGEST && Referrer::of(manifest).is_none()
}

/// Tells whether blobs find places all at once, and go in little time.
fn fits(context: &Context, blobs: &[Descriptor]) -> bool {
    let total = blobs.iter().fold(0_u64, |total, blob| total.saturating_add(blob.size));
    let places: usize = blobs.iter().map(|blob| limits::places(Some(blob.size))).sum();
    let are_small = blobs.iter().all(|blob| whole::is_small(context, blob));
    blobs.len() <= after::MOST && total <= MOST && places <= super::places(&context.session) && are_small
}

/// The way to a registry by which manifests wait for blobs.
#[derive(Debug)]
struct Waiting {
    session: Arc<Session>,
    value: HeaderValue,
}

impl Transport for Waiting {
    fn send(&self, mut request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        // What the registry does not say of what it has stored is asked for as well.
        if *request.method() == Method::PUT {
            request.headers_mut().insert(after::HEADER, self.value.clone());
        }
        Transport::send(self.session.as_ref(), request)
    }
}
