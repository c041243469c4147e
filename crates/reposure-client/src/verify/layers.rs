//! The blobs of an image.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    pin::pin,
    sync::Arc,
};

use bytes::Bytes;
use futures::StreamExt as _;
use reposure_oci::{
    Descriptor, Digest, MediaType, RepositoryName, diff_id::DiffIdDigester, manifest::ImageManifest, registry,
};
use reposure_parcel::upload::How;
use serde::Deserialize;

use super::{
    BLOBS, VerifyOptions,
    fault::{Fault, Problem},
};
use crate::{
    progress::{Event, Progress},
    pull::{PullError, PullOptions, stream_blob},
    session::Session,
};

/// The largest configuration that is read, in bytes: what docker and containerd take.
const CONFIG: usize = 8 << 20;

/// A blob that is to be read.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) part: usize,
    pub(super) blob: Descriptor,
    /// The diff IDs that configurations say it has; all of them should be the same one.
    pub(super) diff_ids: Vec<Digest>,
}

/// What was found of a blob.
#[derive(Debug)]
pub(super) struct Found {
    /// Whether its diff ID was computed and compared.
    pub(super) is_compared: bool,
    pub(super) faults: Vec<Fault>,
}

impl Found {
    const fn uncompared(faults: Vec<Fault>) -> Self {
        Self { is_compared: false, faults }
    }
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<Digest>,
}

/// What is done with the bytes of a blob.
enum Use {
    Nothing,
    Keep(Vec<u8>),
    Hash(DiffIdDigester),
}

/// Reads blobs.
pub(super) struct Reader<'a> {
    session: &'a Arc<Session>,
    client: registry::Client<Arc<Session>>,
    repository: &'a RepositoryName,
    options: PullOptions,
    diff_ids: bool,
    progress: &'a Progress,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        session: &'a Arc<Session>,
        repository: &'a RepositoryName,
        options: VerifyOptions,
        progress: &'a Progress,
    ) -> Self {
        let client = registry::Client::new(session.clone());
        // A share, so that all blobs together have as many ranges in flight as were asked for.
        let (jobs, range) = options.pull.flight(session);
        let pull = PullOptions { jobs: Some(jobs.div_ceil(BLOBS)), range, ..options.pull };
        Self { session, client, repository, options: pull, diff_ids: options.diff_ids, progress }
    }

    /// Lists the blobs of images, each once, and what should be in them.
    ///
    /// Where diff IDs are asked for, configurations are read for that, and are not in the list.
    pub(super) async fn plan(
        &self,
        images: &[(Digest, ImageManifest)],
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<Planned>, PullError> {
        let mut sizes = BTreeMap::new();
        let mut planned: Vec<Planned> = Vec::new();
        let mut known: HashMap<Digest, usize> = HashMap::new();
        for (_, image) in images {
            for blob in std::iter::once(&image.config).chain(&image.layers) {
                match sizes.insert(blob.digest.clone(), blob.size) {
                    None => {
                        let part = planned.len();
                        known.insert(blob.digest.clone(), part);
                        planned.push(Planned { part, blob: blob.clone(), diff_ids: Vec::new() });
                    }
                    Some(size) if size == blob.size => {}
                    Some(actual) => {
                        let problem = Problem::Size { expected: blob.size, actual };
                        faults.push(Fault { digest: blob.digest.clone(), problem });
                    }
                }
            }
        }
        self.began(&planned);
        if !self.diff_ids {
            return Ok(planned);
        }
        let mut read = HashSet::new();
        for (digest, image) in images {
            let Some(part) = known.get(&image.config.digest).copied() else { continue };
            let is_first = read.insert(image.config.digest.clone());
            for (layer, diff_id) in self.config(part, digest, image, is_first, faults).await? {
                if let Some(layer) = known.get(&layer).and_then(|part| planned.get_mut(*part)) {
                    layer.diff_ids.push(diff_id);
                }
            }
        }
        Ok(planned.into_iter().filter(|planned| !read.contains(&planned.blob.digest)).collect())
    }

    fn began(&self, planned: &[Planned]) {
        let blobs: Vec<_> = planned.iter().map(|planned| planned.blob.clone()).collect();
        crate::pull::began(&blobs, self.progress);
    }

    /// Reads a configuration, and tells which diff IDs the layers should have. What is wrong with the blob is said once.
    async fn config(
        &self,
        part: usize,
        manifest: &Digest,
        image: &ImageManifest,
        is_first: bool,
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<(Digest, Digest)>, PullError> {
        let blob = &image.config;
        let mut fault = |problem| faults.push(Fault { digest: blob.digest.clone(), problem });
        let is_image = [MediaType::OCI_CONFIG, MediaType::DOCKER_CONFIG].contains(&blob.media_type);
        if blob.size > CONFIG as u64 && is_image {
            fault(Problem::ConfigSize(CONFIG));
            return Ok(Vec::new());
        }
        // What is no image, as an artifact of ORAS, has no diff IDs.
        let keep = if is_image { Use::Keep(Vec::new()) } else { Use::Nothing };
        let bytes = match self.read(part, blob, keep).await? {
            Ok(Use::Keep(bytes)) => bytes,
            Ok(_) => return Ok(Vec::new()),
            Err(problem) => {
                if is_first {
                    fault(problem);
                }
                return Ok(Vec::new());
            }
        };
        let diff_ids = match serde_json::from_slice::<Config>(&bytes) {
            Ok(config) => config.rootfs.diff_ids,
            Err(error) => {
                fault(Problem::Config(error));
                return Ok(Vec::new());
            }
        };
        if diff_ids.len() != image.layers.len() {
            let (manifest, layers) = (manifest.clone(), image.layers.len());
            fault(Problem::Count { manifest, diff_ids: diff_ids.len(), layers });
            return Ok(Vec::new());
        }
        Ok(image.layers.iter().map(|layer| layer.digest.clone()).zip(diff_ids).collect())
    }

    /// Reads a blob of the list, and returns what is wrong with it.
    pub(super) async fn layer(&self, planned: Planned) -> Result<Found, PullError> {
        let digest = planned.blob.digest.clone();
        let fault = |problem| Fault { digest: digest.clone(), problem };
        let of = match planned.diff_ids.first() {
            Some(diff_id) => Use::Hash(DiffIdDigester::new(diff_id.algorithm())),
            None => Use::Nothing,
        };
        let actual = match self.read(planned.part, &planned.blob, of).await? {
            Ok(Use::Hash(digester)) => digester.finish().await,
            Ok(_) => return Ok(Found::uncompared(Vec::new())),
            Err(problem) => return Ok(Found::uncompared(vec![fault(problem)])),
        };
        match actual {
            Ok(actual) => {
                let mut others = planned.diff_ids;
                others.sort();
                others.dedup();
                let others = others.into_iter().filter(|expected| *expected != actual);
                let actual = &actual;
                let fault = |expected| fault(Problem::DiffId { expected, actual: actual.clone() });
                Ok(Found { is_compared: true, faults: others.map(fault).collect() })
            }
            Err(error) => Ok(Found::uncompared(vec![fault(Problem::Unpack(error))])),
        }
    }

    /// Reads a blob whole, and returns what was made of it, or what is wrong with it.
    async fn read(
        &self,
        part: usize,
        blob: &Descriptor,
        mut of: Use,
    ) -> Result<Result<Use, Problem>, PullError> {
        let head = self.client.head_blob(self.repository, &blob.digest).await;
        let head = head.map_err(|source| PullError::Ask { digest: blob.digest.clone(), source })?;
        match head {
            // Layers that are not to be distributed stay where they are.
            None if blob.media_type.is_foreign() => return Ok(Ok(Use::Nothing)),
            None => return Ok(Err(Problem::Missing)),
            Some(actual) if actual != blob.size => {
                return Ok(Err(Problem::Size { expected: blob.size, actual }));
            }
            Some(_) => {}
        }
        let mut pieces = pin!(stream_blob(self.session, self.repository, blob, self.options));
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(bytes) => {
                    self.progress.send(Event::Advanced { part, bytes: bytes.len() as u64 });
                    of.take(bytes).await;
                }
                Err(PullError::Blob { source, .. }) => return Ok(Err(Problem::Bytes(source))),
                Err(error @ PullError::Answer { status, .. }) if status.is_success() || status == 404 => {
                    return Ok(Err(Problem::Answer(error.into())));
                }
                Err(error) => return Err(error),
            }
        }
        self.progress.send(Event::Finished { part, how: How::Uploaded });
        Ok(Ok(of))
    }
}

impl Use {
    async fn take(&mut self, bytes: Bytes) {
        match self {
            Self::Nothing => {}
            Self::Keep(kept) => kept.extend_from_slice(&bytes),
            Self::Hash(digester) => digester.update(bytes).await,
        }
    }
}
