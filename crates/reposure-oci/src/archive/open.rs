//! Opening a source on disk: finding out what it is.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::task::JoinError;

use super::{
    combine::{self, CombineError},
    docker::{self, DockerError, MANIFEST_FILE, REPOSITORIES_FILE, Reader},
    entry::{Archive, Entry},
    index::{MemberError, TarError, TarIndex},
    layout::{self, LAYOUT_FILE, LayoutError},
    options::{Form, Options},
    store::{Store, StoreError},
};
use crate::{
    blocking::{self, Stop},
    decompress::decompress,
    file,
    gzip::Format,
    spool::{Room, Spooled},
    tarball,
    transport::BoxError,
};

/// How much of a compressed archive is read at once, in bytes.
const READ_BUFFER: usize = 256 << 10;
/// What the names of archives end in, compressed or not.
const ARCHIVE_NAMES: [&str; 11] = [
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.zst",
    ".tar.zstd",
    ".tzst",
    ".tar.xz",
    ".txz",
    ".tar.bz2",
    ".tbz",
    ".tbz2",
];

/// Why a source cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The source cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The source.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The source is neither a file nor a folder.
    #[error("{0} is neither a file nor a folder")]
    NotAFile(PathBuf),
    /// The archive cannot be decompressed into the spool.
    #[error("cannot decompress {path}: {size} bytes came out of it before")]
    Decompress {
        /// The archive.
        path: PathBuf,
        /// How many bytes could be decompressed.
        size: u64,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The stream broke off, or cannot be written to the spool.
    #[error("cannot receive {path}: {size} bytes came before")]
    Receive {
        /// What the stream is called.
        path: PathBuf,
        /// How many bytes came.
        size: u64,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The stream ended before its first byte.
    #[error("{0} is empty")]
    Empty(PathBuf),
    /// The archive is damaged or incomplete.
    #[error(transparent)]
    Tar(TarError),
    /// The archive ends without the mark that says so, and holds no images, or not all that is named: some of it seems to be missing.
    #[error("{path} seems to be truncated: it ends at byte {size} without an end mark")]
    Unterminated {
        /// The archive.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// What is named, but not there.
        #[source]
        source: Option<BoxError>,
    },
    /// The archive holds images, but also what is refused.
    #[error("{path} cannot be used")]
    Member {
        /// The archive.
        path: PathBuf,
        /// What is refused.
        #[source]
        source: MemberError,
    },
    /// The source has the name of an archive of images, or is a folder, but holds none.
    #[error("{0} holds no images: it is neither a docker-archive nor an OCI layout")]
    NotImages(PathBuf),
    /// The source should be a docker-archive.
    #[error("{0} is no docker-archive: it has no {MANIFEST_FILE}")]
    NotDocker(PathBuf),
    /// The source should be an OCI layout or archive.
    #[error("{0} is no OCI layout: it has no {LAYOUT_FILE}")]
    NotLayout(PathBuf),
    /// The source is a docker-archive from before 2016.
    #[error("{0} was saved by docker before 1.10, which is not supported: load and save it again")]
    TooOld(PathBuf),
    /// A file in the source cannot be had.
    #[error("{path} cannot be used")]
    Store {
        /// The source.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: StoreError,
    },
    /// The source's OCI layout is wrong.
    #[error("{path} cannot be used")]
    Layout {
        /// The source.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<LayoutError>,
    },
    /// The source's docker-archive is wrong.
    #[error("{path} cannot be used")]
    Docker {
        /// The source.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<DockerError>,
    },
    /// An image of the source is incomplete or wrong.
    #[error("{path} cannot be used")]
    Combine {
        /// The source.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<CombineError>,
    },
    /// The thread that reads ended early.
    #[error("the work on {path} was broken off")]
    Broken {
        /// The source.
        path: PathBuf,
        /// What happened.
        #[source]
        source: JoinError,
    },
}

/// Opens a docker-archive, an OCI archive, either of them compressed, an OCI layout in a folder, or any other file.
///
/// Blobs are checked for presence and size, not for their digests: whoever reads them does that.
///
/// A file whose name ends as those of tars do (`.tar`, `.tar.gz`, `.tgz`, `.tar.zst`, `.txz`, …) must hold images, unless
/// [`Form::File`] is asked for.
///
/// # Errors
/// When the source cannot be read, is damaged, or holds what is refused.
///
/// # Cancel safety
/// Reading ends when this is dropped.
pub async fn open(path: impl Into<PathBuf>, options: Options) -> Result<Archive, OpenError> {
    let path = path.into();
    let source = Source { path: path.clone(), options };
    let result = blocking::run(move |stop| source.open(stop)).await;
    result.map_err(|source| OpenError::Broken { path, source })?
}

/// Takes an archive that comes from front to back, such as standard input, into the spool and opens it.
///
/// The archive may be compressed. It must hold images: what a stream that is a file like any other were called is not known.
///
/// # Errors
/// As [`open`], with `name` for the path; and when the stream fails.
///
/// # Cancel safety
/// Reading ends when this is dropped, at the latest when the stream gives its next bytes.
pub async fn receive(
    reader: impl Read + Send + 'static,
    name: impl Into<PathBuf>,
    mut options: Options,
) -> Result<Archive, OpenError> {
    let path = name.into();
    if matches!(options.form, Form::Detect | Form::File) {
        options.form = Form::Images;
    }
    let source = Source { path: path.clone(), options };
    let result = blocking::run(move |stop| source.receive(stop.reader(reader))).await;
    result.map_err(|source| OpenError::Broken { path, source })?
}

struct Source {
    path: PathBuf,
    options: Options,
}

impl Source {
    fn open(&self, stop: &Stop) -> Result<Archive, OpenError> {
        let metadata = self.path.metadata().map_err(|source| self.unreadable(source))?;
        if metadata.is_dir() && self.options.form != Form::File {
            let root = self.path.canonicalize().map_err(|source| self.unreadable(source))?;
            let archive = self.images(&mut Store::folder(root))?;
            return archive.ok_or_else(|| self.no_images());
        }
        if !metadata.is_file() {
            return Err(OpenError::NotAFile(self.path.clone()));
        }
        let images = if self.options.form == Form::File { None } else { self.archive(stop)? };
        match images {
            Some(archive) => Ok(archive),
            None if self.must_be_images() => Err(self.no_images()),
            None => Ok(self.file()),
        }
    }

    fn unreadable(&self, source: io::Error) -> OpenError {
        OpenError::Read { path: self.path.clone(), source }
    }

    fn no_images(&self) -> OpenError {
        let path = self.path.clone();
        match self.options.form {
            Form::Docker => OpenError::NotDocker(path),
            Form::Oci => OpenError::NotLayout(path),
            Form::Detect | Form::Images | Form::File => OpenError::NotImages(path),
        }
    }

    fn must_be_images(&self) -> bool {
        let has_name = || named(&self.path, &ARCHIVE_NAMES);
        match self.options.form {
            Form::Detect => has_name(),
            Form::Images | Form::Docker | Form::Oci => true,
            Form::File => false,
        }
    }

    fn file(&self) -> Archive {
        let artifact = file::image(&self.path, &self.options);
        Archive { entries: vec![Entry { names: Vec::new(), artifact, omitted: Vec::new() }] }
    }

    /// Opens an archive of images, if it is one.
    fn archive(&self, stop: &Stop) -> Result<Option<Archive>, OpenError> {
        let mut file = File::open(&self.path).map_err(|source| self.unreadable(source))?;
        let head = head(&file).map_err(|source| self.unreadable(source))?;
        file.rewind().map_err(|source| self.unreadable(source))?;
        match Format::of(&head) {
            None if tarball::is_header(&head) => self.tar(Arc::new(file), None),
            Some(format) if self.is_tar_in(format, &file)? => {
                // Opened anew, since its start was read already.
                let file = File::open(&self.path).map_err(|source| self.unreadable(source))?;
                let Spooled { file, room, .. } = self.spool(Some(format), stop.reader(file))?;
                self.tar(file, Some(room))
            }
            _ => Ok(None),
        }
    }

    /// Tells whether a tar starts in the compressed file; what cannot be decompressed is an error only where there must be one.
    fn is_tar_in(&self, format: Format, file: &File) -> Result<bool, OpenError> {
        match decompress(format, BufReader::new(file)).and_then(head) {
            Ok(head) => Ok(tarball::is_header(&head)),
            Err(_) if !self.must_be_images() => Ok(false),
            Err(source) => Err(OpenError::Decompress { path: self.path.clone(), size: 0, source }),
        }
    }

    fn receive(&self, mut reader: impl Read) -> Result<Archive, OpenError> {
        let broken = |source| OpenError::Receive { path: self.path.clone(), size: 0, source };
        let head = head(&mut reader).map_err(broken)?;
        let format = Format::of(&head);
        if head.is_empty() {
            return Err(OpenError::Empty(self.path.clone()));
        }
        if format.is_none() && !tarball::is_header(&head) {
            return Err(self.no_images());
        }
        let Spooled { file, room, .. } = self.spool(format, io::Cursor::new(head).chain(reader))?;
        self.tar(file, Some(room))?.ok_or_else(|| self.no_images())
    }

    /// Brings a tar into the spool, decompressed.
    fn spool(&self, format: Option<Format>, reader: impl Read) -> Result<Spooled, OpenError> {
        let failed = |size, source| {
            let path = self.path.clone();
            match format {
                Some(_) => OpenError::Decompress { path, size, source },
                None => OpenError::Receive { path, size, source },
            }
        };
        let mut out = self.options.spool.create().map_err(|source| failed(0, source))?;
        let reader = BufReader::with_capacity(READ_BUFFER, reader);
        let mut reader = match format {
            Some(format) => decompress(format, reader).map_err(|source| failed(0, source))?,
            None => Box::new(reader),
        };
        let mut buffer = vec![0; READ_BUFFER];
        let mut size = 0;
        loop {
            let count = reader.read(&mut buffer).map_err(|source| failed(size, source))?;
            if count == 0 {
                return Ok(out.finish());
            }
            io::Write::write_all(&mut out, &buffer[..count]).map_err(|source| failed(size, source))?;
            size += count as u64;
        }
    }

    fn tar(&self, file: Arc<File>, room: Option<Arc<Room>>) -> Result<Option<Archive>, OpenError> {
        let index = TarIndex::read(&file, &self.path).map_err(OpenError::Tar)?;
        let is_cut = !index.has_end && !matches!(index.problem, Some(MemberError::TooMany { .. }));
        let (path, size) = (self.path.clone(), index.size);
        match self.images(&mut Store::tar(self.path.clone(), file, index, room)) {
            Ok(None) if is_cut => Err(OpenError::Unterminated { path, size, source: None }),
            Err(error) if is_cut => Err(lack(error).map_or_else(
                |error| error,
                |lack| OpenError::Unterminated { path, size, source: Some(lack) },
            )),
            opened => opened,
        }
    }

    /// Reads the store's images, if it holds any.
    fn images(&self, store: &mut Store) -> Result<Option<Archive>, OpenError> {
        let at = |source| OpenError::Store { path: self.path.clone(), source };
        let form = self.options.form;
        let has_layout = form != Form::Docker && layout::is_layout(store).map_err(at)?;
        let has_list = form != Form::Oci && store.find(MANIFEST_FILE).map_err(at)?.is_some();
        if !has_layout && !has_list {
            let is_old = self.must_be_images() && store.find(REPOSITORIES_FILE).map_err(at)?.is_some();
            return if is_old { Err(OpenError::TooOld(self.path.clone())) } else { Ok(None) };
        }
        if let Some(source) = store.take_problem() {
            return Err(OpenError::Member { path: self.path.clone(), source });
        }
        self.entries(store, has_layout, has_list).map(|entries| Some(Archive { entries }))
    }

    fn entries(&self, store: &Store, has_layout: bool, has_list: bool) -> Result<Vec<Entry>, OpenError> {
        let path = || self.path.clone();
        let layout = if has_layout { layout::read(store) } else { Ok(Vec::new()) };
        let layout = layout.map_err(|source| OpenError::Layout { path: path(), source: source.into() })?;
        let mut reader = Reader::new(store, &self.options);
        let docker = if has_list { reader.find() } else { Ok(None) };
        let docker = docker.map_err(|source| OpenError::Docker { path: path(), source: source.into() })?;
        let docker: Vec<docker::Found> = docker.unwrap_or_default();
        let entries = combine::combine(layout, &docker, self.options.only.as_ref(), &mut reader);
        entries.map_err(|source| OpenError::Combine { path: path(), source: source.into() })
    }
}

/// Takes what is named, but not there, from what is wrong otherwise.
fn lack(error: OpenError) -> Result<BoxError, OpenError> {
    match error {
        OpenError::Layout { source, .. } if matches!(*source, LayoutError::NoIndex) => Ok(source),
        OpenError::Docker { source, .. } if matches!(*source, DockerError::MissingConfig { .. }) => {
            Ok(source)
        }
        OpenError::Combine { source, .. } if is_lack(&source) => Ok(source),
        error => Err(error),
    }
}

const fn is_lack(error: &CombineError) -> bool {
    matches!(error, CombineError::Missing { .. } | CombineError::Docker(DockerError::MissingLayer { .. }))
}

fn head(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(tarball::BLOCK as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn named(path: &Path, endings: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}
