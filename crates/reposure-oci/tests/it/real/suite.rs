//! Every operation of the client, in an order in which each finds what it needs.

use std::sync::Arc;

use http_body_util::BodyExt;
use reposure_oci::{
    Algorithm, Blob, Descriptor, Digest, Digester, DirectTransport, MediaType, MemoryBlob, RawManifest,
    Reference,
    referrer::fallback_tag,
    registry::{Client, ErrorCode, Mount, Stored, TagDeletion, UploadStrategy},
    transport::full,
};
use reposure_testing::RandomImage;

use super::process::Version;
use crate::fixture::{content, manifest, name, streamed};

const CHUNK: u64 = 1 << 20;

pub(crate) struct Suite {
    version: Version,
    client: Client<DirectTransport>,
    image: RandomImage,
    /// Makes the names, and the bytes, of one run its own.
    run: u64,
}

impl Suite {
    pub(crate) fn new(version: Version, client: Client<DirectTransport>) -> Self {
        let run = rand::random();
        Self { version, client, image: RandomImage::new(run, 2, 100_000).unwrap(), run }
    }

    pub(crate) async fn run(&self) {
        let ping = self.client.ping().await.unwrap();
        assert_eq!(ping.api_version.as_deref(), Some("registry/2.0"));
        self.blobs().await;
        self.uploads().await;
        self.mounts().await;
        self.other_algorithm().await;
        self.manifests().await;
        self.lists().await;
        self.referrers().await;
        self.deletions().await;
    }

    fn name(&self, suffix: &str) -> reposure_oci::RepositoryName {
        name(&format!("run-{:x}/{suffix}", self.run))
    }

    /// Makes bytes that no other run has.
    fn blob(&self, size: usize) -> Arc<dyn Blob> {
        let mut bytes = content(size).0.to_vec();
        let nonce = self.run.to_le_bytes();
        bytes[..nonce.len()].copy_from_slice(&nonce);
        blob(bytes)
    }

    async fn blobs(&self) {
        let repository = self.name("a");
        for bytes in self.image.blobs() {
            let blob = blob(bytes.to_vec());
            let digest = &blob.descriptor().digest;
            assert_eq!(self.client.head_blob(&repository, digest).await.unwrap(), None);
            let stored = self.client.store_blob(&repository, &blob, &[], UploadStrategy::Monolithic).await;
            assert_eq!(stored.unwrap(), Stored::Sent(UploadStrategy::Monolithic));
            let read = self.client.read_blob(&repository, blob.descriptor()).collect().await.unwrap();
            assert_eq!(read.to_bytes(), bytes);
            let last = bytes.len() as u64;
            for range in [0..1, 10..20, last - 1..last] {
                let part = self.client.get_blob_range(&repository, digest, range.clone()).await.unwrap();
                let part = part.body.collect().await.unwrap().to_bytes();
                let (start, end) =
                    (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
                assert_eq!(part, bytes.slice(start..end));
            }
        }
        let missing = Digest::sha256_of("missing");
        assert!(self.client.get_blob(&repository, &missing, 10).await.unwrap_err().is_not_found());
        let wrong = self.client.upload_monolithic(&repository, &missing, 1, full("x")).await.unwrap_err();
        assert!(wrong.has_code(&ErrorCode::DigestInvalid), "{}", wrong.failure);
    }

    async fn uploads(&self) {
        let repository = self.name("a");
        let strategy = self.client.detect_strategy(&repository).await.unwrap();
        let resumes = matches!(strategy, UploadStrategy::Resumable { .. });
        assert_eq!(resumes, self.version == Version::Three, "{strategy:?}");
        let strategies = [
            UploadStrategy::Monolithic,
            UploadStrategy::StreamPatch,
            UploadStrategy::Resumable { chunk: CHUNK },
        ];
        for (number, strategy) in strategies.into_iter().enumerate() {
            let blob = self.blob((2 << 20) + 17 + number);
            let stored = self.client.store_blob(&repository, &blob, &[], strategy).await.unwrap();
            assert_eq!(stored, Stored::Sent(strategy));
            let again = self.client.store_blob(&repository, &blob, &[], strategy).await.unwrap();
            assert_eq!(again, Stored::Existed);
        }
        if resumes {
            self.resume().await;
        }
    }

    /// Goes on where the registry is, from where it was when the upload began.
    async fn resume(&self) {
        let repository = self.name("a");
        let (client, blob) = (&self.client, self.blob(3 << 20));
        let bytes = blob.read_at(0, 3 << 20).await.unwrap();
        let mut session = client.start_upload(&repository).await.unwrap();
        assert_eq!(client.upload_status(&mut session).await.unwrap(), 0);
        let mut stale = session.clone();
        client.patch_stream(&mut session, streamed(&bytes.slice(..1 << 20), 1 << 16)).await.unwrap();
        // What a cut after that leaves: a client that has not seen the answer.
        let received = client.upload_status(&mut stale).await.unwrap();
        assert_eq!(received, 1 << 20);
        client.patch_stream(&mut stale, streamed(&bytes.slice(1 << 20..), 1 << 16)).await.unwrap();
        client.finish_upload(stale, &blob.descriptor().digest, 3 << 20).await.unwrap();
    }

    async fn mounts(&self) {
        let (from, to) = (self.name("a"), self.name("b"));
        let layer = blob(self.image.layers()[0].gzip.to_vec());
        let from = [from];
        let stored = self.client.store_blob(&to, &layer, &from, UploadStrategy::Monolithic).await.unwrap();
        assert_eq!(stored, Stored::Mounted);
        let missing = Digest::sha256_of("missing");
        for mount in [
            self.client.mount(&to, &missing, &from[0]).await.unwrap(),
            self.client.mount_from_anywhere(&to, &missing).await.unwrap(),
        ] {
            let Mount::Open(session) = mount else { panic!("mounted what is not there") };
            self.client.cancel_upload(session).await.unwrap();
        }
    }

    /// Which Distribution takes, and names another digest of.
    async fn other_algorithm(&self) {
        let (from, to) = (self.name("a"), self.name("b"));
        let strategies = [
            UploadStrategy::Monolithic,
            UploadStrategy::StreamPatch,
            UploadStrategy::Resumable { chunk: CHUNK },
        ];
        for (number, strategy) in strategies.into_iter().enumerate() {
            let size = (2 << 20) + 23 + number;
            let bytes = self.blob(size).read_at(0, size).await.unwrap();
            let mut digester = Digester::new(Algorithm::Sha512);
            digester.update(&bytes);
            let (digest, size) = (digester.finish(), bytes.len() as u64);
            let descriptor = Descriptor::new(MediaType::OCTET_STREAM, digest.clone(), size);
            let blob: Arc<dyn Blob> = Arc::new(MemoryBlob::new(descriptor, bytes.clone()));
            let stored = self.client.store_blob(&from, &blob, &[], strategy).await.unwrap();
            assert_eq!(stored, Stored::Sent(strategy));
            assert_eq!(self.client.head_blob(&from, &digest).await.unwrap(), Some(size));
            let read = self.client.read_blob(&from, blob.descriptor()).collect().await.unwrap();
            assert_eq!(read.to_bytes(), bytes);
            let sources = [from.clone()];
            let stored = self.client.store_blob(&to, &blob, &sources, strategy).await.unwrap();
            assert_eq!(stored, Stored::Mounted);
        }
    }

    async fn manifests(&self) {
        let (repository, manifest) = (self.name("a"), manifest(&self.image));
        for tag in ["one", "same", "third"] {
            let reference: Reference = tag.parse().unwrap();
            let digest = self.client.put_manifest(&repository, &reference, &manifest).await.unwrap();
            assert_eq!(digest, *manifest.digest());
            assert_eq!(self.client.get_manifest(&repository, &reference).await.unwrap(), manifest);
            let head = self.client.head_manifest(&repository, &reference).await.unwrap();
            assert_eq!(head, Some(manifest.descriptor()));
        }
        let missing: Reference = "missing".parse().unwrap();
        assert_eq!(self.client.head_manifest(&repository, &missing).await.unwrap(), None);
        assert!(self.client.get_manifest(&repository, &missing).await.unwrap_err().is_not_found());
    }

    async fn lists(&self) {
        assert_eq!(self.tags().await, ["one", "same", "third"]);
        let repositories = self.client.catalog().await.unwrap();
        // Version 3 lists no repository without a manifest.
        assert!(repositories.contains(&self.name("a")));
        let missing = self.client.tags(&self.name("missing")).await.unwrap_err();
        assert!(missing.is_not_found() && missing.has_code(&ErrorCode::NameUnknown));
    }

    async fn tags(&self) -> Vec<String> {
        self.client.tags(&self.name("a")).await.unwrap().iter().map(ToString::to_string).collect()
    }

    /// Neither version lists referrers, so that the index under the fallback tag is kept.
    async fn referrers(&self) {
        let (repository, subject) = (self.name("a"), manifest(&self.image));
        let config = blob(self.image.blobs()[0].to_vec());
        let describe = |descriptor: &Descriptor| serde_json::to_value(descriptor).unwrap();
        let text = serde_json::json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": "a/b",
            "config": describe(config.descriptor()), "layers": [], "subject": describe(&subject.descriptor()),
        });
        let referrer = RawManifest::new(MediaType::OCI_MANIFEST, text.to_string().into()).unwrap();
        let reference = Reference::Digest(referrer.digest().clone());
        self.client.put_manifest(&repository, &reference, &referrer).await.unwrap();
        let found = self.client.referrers(&repository, subject.digest(), Some("a/b")).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].descriptor, referrer.descriptor());
        assert!(self.client.referrers(&repository, subject.digest(), Some("c/d")).await.unwrap().is_empty());
        assert!(self.tags().await.contains(&fallback_tag(subject.digest()).to_string()));
        self.client.delete_manifest(&repository, &reference).await.unwrap();
        assert!(self.client.referrers(&repository, subject.digest(), None).await.unwrap().is_empty());
        assert_eq!(self.tags().await, ["one", "same", "third"]);
    }

    async fn deletions(&self) {
        let repository = self.name("a");
        let shared = if self.version == Version::Three { TagDeletion::Tag } else { TagDeletion::TagByDummy };
        let last = if self.version == Version::Three { TagDeletion::Tag } else { TagDeletion::Manifest };
        for (tag, how, left) in
            [("one", shared, vec!["same", "third"]), ("same", shared, vec!["third"]), ("third", last, vec![])]
        {
            let done = self.client.delete_tag_safely(&repository, &tag.parse().unwrap()).await.unwrap();
            assert_eq!((done, self.tags().await), (how, left.into_iter().map(String::from).collect()));
        }
        let again = self.client.delete_tag_safely(&repository, &"one".parse().unwrap()).await;
        assert!(again.unwrap_err().is_not_found());
    }
}

fn blob(bytes: Vec<u8>) -> Arc<dyn Blob> {
    let descriptor = Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of(&bytes), bytes.len() as u64);
    Arc::new(MemoryBlob::new(descriptor, bytes.into()))
}
