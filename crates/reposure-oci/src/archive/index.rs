//! The index of an uncompressed tar: which member is where.
//!
//! A tar that breaks off is an error. What makes single members unusable (a path upwards, a duplicate, a sparse file) is
//! only noted: it matters if the tar proves to hold images, not if it is a file like any other.

use std::{
    cell::Cell,
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use tar::{Entry, EntryType};

use super::path::{MemberPath, PathError};
use crate::tarball::BLOCK;

/// How many members an archive of images may have: a hundred images of 128 layers with all that old dockers add fit four times.
const MEMBERS_LIMIT: usize = 65_536;
/// How many bytes of headers and long names are read from one archive; [`MEMBERS_LIMIT`] plain headers take half of it.
const HEADERS_LIMIT: u64 = 64 << 20;

/// Why a tar cannot be indexed.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// A header cannot be read: the file breaks off, or is damaged.
    #[error("{path} is damaged or incomplete at byte {offset}{}", after(last.as_deref()))]
    Header {
        /// The archive.
        path: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// The last member that could be read.
        last: Option<String>,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// A member's content is not there in full.
    #[error(
        "{path} is truncated: member {member}, from byte {offset}, needs {size} bytes, but {available} are left"
    )]
    Truncated {
        /// The archive.
        path: PathBuf,
        /// The member.
        member: String,
        /// Where its content starts, in bytes.
        offset: u64,
        /// The size that the member should have, in bytes.
        size: u64,
        /// How many bytes of it there are.
        available: u64,
    },
}

fn after(last: Option<&str>) -> String {
    last.map(|last| format!(", after member {last}")).unwrap_or_default()
}

/// Why a member of an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The member's own path, or the one that it links to, is not inside of the archive.
    #[error("member {member:?} at byte {offset} is refused")]
    Path {
        /// The member's path, as it stands in the archive.
        member: String,
        /// Where its header is, in bytes.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: PathError,
    },
    /// Two members have one path.
    #[error("member {member} is there twice, at bytes {first} and {second}")]
    Duplicate {
        /// The path.
        member: String,
        /// Where the header of the first one is, in bytes.
        first: u64,
        /// Where the header of the second one is, in bytes.
        second: u64,
    },
    /// The member has holes, which images do not need.
    #[error("member {member:?} at byte {offset} is a sparse file")]
    Sparse {
        /// The member's path, as it stands in the archive.
        member: String,
        /// Where its header is, in bytes.
        offset: u64,
    },
    /// There are more members than any archive of images has.
    #[error("there are more than {MEMBERS_LIMIT} members: another one, {member:?}, is at byte {offset}")]
    TooMany {
        /// The path of the first one that is too many, as it stands in the archive.
        member: String,
        /// Where its header is, in bytes.
        offset: u64,
    },
}

/// Where a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// A file's content.
    File {
        /// Where in the archive, in bytes.
        offset: u64,
        /// How many bytes.
        size: u64,
    },
    /// A symbolic or hard link.
    Link {
        /// Where its header is in the archive, in bytes.
        header: u64,
        /// What it leads to.
        target: MemberPath,
    },
}

impl Member {
    /// Returns where its header is, in bytes.
    const fn header(&self) -> u64 {
        match self {
            Self::File { offset, .. } => offset.saturating_sub(BLOCK as u64),
            Self::Link { header, .. } => *header,
        }
    }
}

/// The members of a tar by path.
#[derive(Debug, Default)]
pub(crate) struct TarIndex {
    members: HashMap<MemberPath, Member>,
    /// The first member that cannot be used.
    pub(crate) problem: Option<MemberError>,
    /// Whether the tar ends with the mark that says so, as [POSIX] has it; some writers leave it out.
    ///
    /// [POSIX]: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
    pub(crate) has_end: bool,
    /// The tar's size in bytes.
    pub(crate) size: u64,
}

impl TarIndex {
    /// Reads the headers of `file`, named `path` in errors.
    pub(crate) fn read(file: &File, path: &Path) -> Result<Self, TarError> {
        let broken = |offset, last: Option<&MemberPath>, source| TarError::Header {
            path: path.into(),
            offset,
            last: last.map(ToString::to_string),
            source,
        };
        let length = file.metadata().map_err(|source| broken(0, None, source))?.len();
        let headers = Headers {
            file,
            position: Cell::new(0),
            budget: Cell::new(HEADERS_LIMIT),
            at_end: Cell::new(false),
        };
        let mut archive = tar::Archive::new(&headers);
        let mut index = Self { size: length, ..Self::default() };
        let mut last = None;
        let entries = archive.entries_with_seek().map_err(|source| broken(0, None, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| broken(headers.block(), last.as_ref(), source))?;
            check_length(&entry, path, length)?;
            match index.add(entry) {
                Ok(Some(path)) => last = Some(path),
                Ok(None) => {}
                Err(error @ MemberError::TooMany { .. }) => {
                    index.problem.get_or_insert(error);
                    return Ok(index);
                }
                Err(error) => _ = index.problem.get_or_insert(error),
            }
        }
        index.has_end = !headers.at_end.get();
        Ok(index)
    }

    fn add(&mut self, mut entry: Entry<'_, impl Read>) -> Result<Option<MemberPath>, MemberError> {
        let raw = entry.path_bytes().into_owned();
        let name = || String::from_utf8_lossy(&raw).into_owned();
        let header = entry.raw_header_position();
        let refused = |source| MemberError::Path { member: name(), offset: header, source };
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            return Ok(None);
        }
        let path = MemberPath::parse(&raw).map_err(refused)?;
        if is_sparse(&mut entry) {
            return Err(MemberError::Sparse { member: name(), offset: header });
        }
        let target = entry.link_name_bytes().unwrap_or_default();
        let member = match kind {
            EntryType::Regular | EntryType::Continuous => {
                Member::File { offset: entry.raw_file_position(), size: entry.size() }
            }
            EntryType::Symlink => Member::Link { header, target: path.follow(&target).map_err(refused)? },
            EntryType::Link => Member::Link { header, target: MemberPath::parse(&target).map_err(refused)? },
            // Devices and the like are nothing that an image consists of.
            _ => return Ok(None),
        };
        if self.members.len() >= MEMBERS_LIMIT {
            return Err(MemberError::TooMany { member: name(), offset: header });
        }
        if let Some(first) = self.members.get(&path) {
            let first = first.header();
            return Err(MemberError::Duplicate { member: path.to_string(), first, second: header });
        }
        self.members.insert(path.clone(), member);
        Ok(Some(path))
    }

    /// Returns the member at `path`.
    pub(crate) fn get(&self, path: &MemberPath) -> Option<&Member> {
        self.members.get(path)
    }
}

fn check_length(entry: &Entry<'_, impl Read>, path: &Path, length: u64) -> Result<(), TarError> {
    let (offset, size) = (entry.raw_file_position(), entry.size());
    // A sparse file's size is not the one that it takes.
    if entry.header().entry_type().is_gnu_sparse()
        || offset.checked_add(size).is_some_and(|end| end <= length)
    {
        return Ok(());
    }
    Err(TarError::Truncated {
        path: path.into(),
        member: String::from_utf8_lossy(&entry.path_bytes()).into_owned(),
        offset,
        size,
        available: length.saturating_sub(offset),
    })
}

/// Tells sparse files in GNU's own form and in the one that is a PAX extension.
fn is_sparse(entry: &mut Entry<'_, impl Read>) -> bool {
    if entry.header().entry_type().is_gnu_sparse() {
        return true;
    }
    let Ok(Some(mut extensions)) = entry.pax_extensions() else { return false };
    extensions.any(|pair| pair.is_ok_and(|pair| pair.key_bytes().starts_with(b"GNU.sparse.")))
}

/// Reads the headers of a file, and bounds how much that is; contents are skipped by seeking.
struct Headers<'a> {
    file: &'a File,
    position: Cell<u64>,
    budget: Cell<u64>,
    at_end: Cell<bool>,
}

impl Headers<'_> {
    /// Returns where the block is that was read last.
    fn block(&self) -> u64 {
        self.position.get().saturating_sub(1) / BLOCK as u64 * BLOCK as u64
    }
}

impl Read for &Headers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position.get())?;
        self.at_end.set(count == 0 && !buffer.is_empty());
        self.position.set(self.position.get() + count as u64);
        let left = self.budget.get().checked_sub(count as u64);
        let excess = || io::Error::other(format!("there are more than {HEADERS_LIMIT} bytes of headers"));
        self.budget.set(left.ok_or_else(excess)?);
        Ok(count)
    }
}

impl Seek for &Headers<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(delta) => self.position.get().checked_add_signed(delta),
            SeekFrom::End(_) => None,
        };
        let target = target.ok_or(io::ErrorKind::InvalidInput)?;
        self.position.set(target);
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::archive::testing::Tar;

    fn index(bytes: &[u8]) -> Result<TarIndex, TarError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        TarIndex::read(&file, Path::new("images.tar"))
    }

    fn get(index: &TarIndex, path: &str) -> Option<Member> {
        index.get(&MemberPath::parse(path.as_bytes()).unwrap()).cloned()
    }

    #[test]
    fn finds_files_and_links() {
        let long = "long/".repeat(40) + "name";
        let bytes = Tar::new()
            .file("./a/b", "content")
            .symlink("a/c", "../d")
            .hardlink("e", "a/b")
            .file(&long, "x")
            .bytes();
        let index = index(&bytes).unwrap();
        assert_eq!(get(&index, "a/b"), Some(Member::File { offset: 512, size: 7 }));
        let link = |header, target| Some(Member::Link { header, target: MemberPath::parse(target).unwrap() });
        assert_eq!(get(&index, "a/c"), link(1024, b"d"));
        assert_eq!(get(&index, "e"), link(1536, b"a/b"));
        assert!(matches!(get(&index, &long), Some(Member::File { size: 1, .. })));
        assert!(index.has_end && index.problem.is_none());
    }

    #[test]
    fn notes_members_that_cannot_be_used() {
        let problem = |tar: Tar| index(&tar.bytes()).unwrap().problem.unwrap().to_string();
        let one = || Tar::new().file("a", "x");
        assert_eq!(problem(one().raw_file(b"../a", "x")), "member \"../a\" at byte 1024 is refused");
        assert_eq!(problem(one().raw_file(b"/a", "x")), "member \"/a\" at byte 1024 is refused");
        assert_eq!(problem(one().symlink("b", "../b")), "member \"b\" at byte 1024 is refused");
        assert_eq!(problem(one().file("./a", "y")), "member a is there twice, at bytes 0 and 1024");
        assert_eq!(problem(one().sparse("b")), "member \"b\" at byte 1024 is a sparse file");
        let links = Tar::new().file("a", "x").symlink("b", "a").hardlink("b", "a");
        assert_eq!(problem(links), "member b is there twice, at bytes 1024 and 1536");
    }

    #[test]
    fn a_truncated_tar_is_an_error_that_says_where() {
        let bytes = Tar::new().file("a", "1").file("b", "2".repeat(2000)).bytes();
        let text = index(&bytes[..2000]).unwrap_err().to_string();
        assert_eq!(
            text,
            "images.tar is truncated: member b, from byte 1536, needs 2000 bytes, but 464 are left"
        );
        let text = index(&bytes[..1200]).unwrap_err().to_string();
        assert_eq!(text, "images.tar is damaged or incomplete at byte 1024, after member a");
        assert!(!index(&bytes[..1024]).unwrap().has_end);
    }

    #[test]
    fn headers_are_read_only_up_to_a_limit() {
        // A long name of 70 MiB, all of it a hole, so that the test writes nothing.
        let mut header = tar::Header::new_gnu();
        header.set_path("././@LongLink").unwrap();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(70 << 20);
        header.set_cksum();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.set_len(80 << 20).unwrap();
        let error = TarIndex::read(&file, Path::new("images.tar")).unwrap_err();
        assert!(
            matches!(error, TarError::Header { ref source, .. } if source.to_string().contains("headers")),
            "{error:?}"
        );
    }

    #[test]
    fn members_are_taken_up_to_a_limit() {
        let many = |count: usize| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_size(0);
            let mut file = tempfile::tempfile().unwrap();
            for number in 0..count {
                header.set_path(number.to_string()).unwrap();
                header.set_cksum();
                file.write_all(header.as_bytes()).unwrap();
            }
            TarIndex::read(&file, Path::new("images.tar")).unwrap().problem.map(|error| error.to_string())
        };
        assert_eq!(many(65_536), None);
        let expected = "there are more than 65536 members: another one, \"65536\", is at byte 33554432";
        assert_eq!(many(65_540).as_deref(), Some(expected));
    }

    proptest! {
        #[test]
        fn damaged_tars_are_indexed_or_refused(position in 0usize..3000, value in any::<u8>(), length in 0usize..4096) {
            let mut bytes = Tar::new().file("a", "1").symlink("b", "a").file("c", "2".repeat(700)).bytes();
            let length = length.min(bytes.len());
            if let Some(byte) = bytes.get_mut(position) {
                *byte = value;
            }
            if let Ok(index) = index(&bytes[..length]) {
                for member in index.members.values() {
                    let Member::File { offset, size } = member else { continue };
                    prop_assert!(offset + size <= length as u64);
                }
            }
        }
    }
}
