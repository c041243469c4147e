//! Archives that are damaged, incomplete or made to do harm: each is refused with an error that says where, and changes nothing, or
//! gives just the image that it should.

mod damaged;
mod harmful;
mod huge;
mod layouts;
mod samples;

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime},
};

use reposure_oci::{
    Artifact, Digest, ImageName, Spool, archive,
    sink::write_artifact,
    transfer::{Progress, PushOptions, push},
};
use tempfile::TempDir;

use crate::fixture::Fixture;

/// Far more than the samples need.
const SPOOL: u64 = 1 << 20;
const DEADLINE: Duration = Duration::from_secs(60);

/// Where sources are read and pushed, and all that must stay as it is when one is refused.
struct Bench {
    scratch: TempDir,
    spools: TempDir,
    spool: Spool,
    fixture: Fixture,
    pushes: AtomicUsize,
}

/// What was said when a source was read, and when it was pushed.
#[derive(Debug)]
struct Refused([String; 2]);

impl Refused {
    /// Both texts have all of the words.
    #[track_caller]
    fn says(&self, words: &[&str]) {
        for text in &self.0 {
            assert!(words.iter().all(|word| text.contains(word)), "{words:?} in {text:?}");
        }
    }
}

impl Bench {
    async fn new() -> Self {
        let (scratch, spools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let spool = Spool::new(spools.path(), SPOOL);
        Self { scratch, spools, spool, fixture: Fixture::new().await, pushes: AtomicUsize::new(0) }
    }

    /// Returns where a source of this name is to be.
    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Reads all of a source, and pushes it: both give one image, or both an error, after which all is as it was.
    async fn take(&self, source: &Path) -> Result<Digest, Refused> {
        let before = files(self.scratch.path());
        let name = format!("a{}:v1", self.pushes.fetch_add(1, Ordering::Relaxed)).parse().unwrap();
        let (read, pushed) = (self.read(source).await, self.push(source, &name).await);
        assert_eq!(files(self.scratch.path()), before, "files beside the source");
        self.no_temporary_file_is_left().await;
        let repository = name.repository.to_string();
        let manifests =
            self.fixture.registry.count(&http::Method::PUT, &format!("/v2/{repository}/manifests/"));
        let tags = self.fixture.registry.tags(&repository);
        self.fixture.registry.clear_requests();
        match (read, pushed) {
            (Ok(read), Ok(pushed)) => {
                assert_eq!((&read, &tags[..]), (&pushed, &["v1".to_owned()][..]));
                Ok(read)
            }
            (Err(read), Err(pushed)) => {
                assert!(manifests == 0 && tags.is_empty(), "{pushed}, but {tags:?} was put");
                Err(Refused([read, pushed]))
            }
            (read, pushed) => panic!("reading gave {read:?}, and pushing {pushed:?}"),
        }
    }

    async fn refused(&self, source: &Path) -> Refused {
        self.take(source).await.unwrap_err()
    }

    /// What is being compressed when something else fails ends soon.
    async fn no_temporary_file_is_left(&self) {
        let gone = async {
            while self.spool.used() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(DEADLINE, gone).await.expect("temporary files are left");
        assert!(files(self.spools.path()).is_empty());
    }

    async fn open(&self, path: &Path) -> Result<Artifact, String> {
        let options = archive::Options::new(self.spool.clone());
        let mut archive = archive::open(path, options).await.map_err(|error| text(&error))?;
        if archive.entries.len() == 1 {
            Ok(archive.entries.remove(0).artifact)
        } else {
            Err(format!("{} has no images", path.display()))
        }
    }

    async fn read(&self, source: &Path) -> Result<Digest, String> {
        let artifact = self.open(source).await?;
        write_artifact(&artifact, Vec::new(), tokio::io::sink()).await.map_err(|error| text(&error))?;
        Ok(artifact.manifest().await.unwrap().digest().clone())
    }

    async fn push(&self, source: &Path, name: &ImageName) -> Result<Digest, String> {
        let artifact = self.open(source).await?;
        let pushed =
            push(&self.fixture.client, &artifact, name, &PushOptions::default(), Progress::none()).await;
        pushed.map_err(|error| text(&error))?;
        let stored = self.fixture.registry.manifest(name.repository.as_str(), "v1").unwrap();
        Ok(Digest::sha256_of(stored))
    }
}

/// The error with all of its sources, as a program shows it.
fn text(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What is in a folder, links not followed, with sizes and times.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            found.extend(files(&path));
        }
        found.insert(path, (metadata.len(), metadata.modified().unwrap()));
    }
    found
}
