//! Paths of an archive's members: relative, clean, and never outside of the archive.

use std::fmt;

/// The longest path of a member, in bytes, as Linux's `PATH_MAX` has it.
const PATH_LIMIT: usize = 4096;

/// The path of a member: components separated by `/`, none of them empty, `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MemberPath(String);

/// Why a path is none of a member.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    /// The path starts at the root of a file system.
    #[error("path {0:?} is absolute")]
    Absolute(String),
    /// The path has a component `..` where there may be none, or leads outside of the archive.
    #[error("path {0:?} leads upwards")]
    Upwards(String),
    /// The path is no UTF-8, or holds a NUL.
    #[error("path {0:?} is no plain UTF-8")]
    NotText(String),
    /// The path is longer than Linux allows.
    #[error("a path has {0} bytes, over the limit of {PATH_LIMIT}")]
    TooLong(usize),
    /// The path is empty, or names the archive itself.
    #[error("path {0:?} names no member")]
    Empty(String),
}

impl MemberPath {
    /// Cleans the path of a member, or of a hard link's target: `./a//b/` is `a/b`. A `..` is refused.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        let text = text(bytes)?;
        if text.split('/').any(|component| component == "..") {
            return Err(PathError::Upwards(text.into()));
        }
        Self::join(&[], text)
    }

    /// Cleans the target of a symbolic link that this path is: relative to its folder. A `..` is followed, but not outside.
    pub(crate) fn follow(&self, target: &[u8]) -> Result<Self, PathError> {
        let mut folder: Vec<&str> = self.0.split('/').collect();
        folder.pop();
        Self::join(&folder, text(target)?)
    }

    fn join(folder: &[&str], text: &str) -> Result<Self, PathError> {
        if text.starts_with('/') {
            return Err(PathError::Absolute(text.into()));
        }
        let mut components = folder.to_vec();
        for component in text.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    components.pop().ok_or_else(|| PathError::Upwards(text.into()))?;
                }
                component => components.push(component),
            }
        }
        if components.is_empty() {
            Err(PathError::Empty(text.into()))
        } else {
            Ok(Self(components.join("/")))
        }
    }

    /// Returns the path's text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn text(bytes: &[u8]) -> Result<&str, PathError> {
    if bytes.len() > PATH_LIMIT {
        return Err(PathError::TooLong(bytes.len()));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(PathError::NotText(String::from_utf8_lossy(bytes).into_owned())),
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<String, PathError> {
        MemberPath::parse(text.as_bytes()).map(|path| path.0)
    }

    #[test]
    fn cleans_paths() {
        for text in ["a/b", "./a/b", "a//b", "a/./b/", ".//a/b/."] {
            assert_eq!(parse(text).as_deref(), Ok("a/b"), "{text:?}");
        }
        assert_eq!(parse("a..b/...").as_deref(), Ok("a..b/..."));
    }

    #[test]
    fn refuses_paths_that_are_none_of_a_member() {
        assert_eq!(parse("/etc/passwd"), Err(PathError::Absolute("/etc/passwd".into())));
        for text in ["..", "../a", "a/..", "a/../b"] {
            assert_eq!(parse(text), Err(PathError::Upwards(text.into())));
        }
        for text in ["", ".", "./", "././/"] {
            assert_eq!(parse(text), Err(PathError::Empty(text.into())));
        }
        assert_eq!(parse(&"a".repeat(4097)), Err(PathError::TooLong(4097)));
        assert!(matches!(MemberPath::parse(b"a\xff"), Err(PathError::NotText(_))));
        assert!(matches!(MemberPath::parse(b"a\0b"), Err(PathError::NotText(_))));
    }

    #[test]
    fn follows_symbolic_links_inside_of_the_archive() {
        let layer = MemberPath::parse(b"one/layer.tar").unwrap();
        assert_eq!(layer.follow(b"../two/layer.tar").unwrap().as_str(), "two/layer.tar");
        assert_eq!(layer.follow(b"other.tar").unwrap().as_str(), "one/other.tar");
        assert!(matches!(layer.follow(b"../../x"), Err(PathError::Upwards(_))));
        assert!(matches!(layer.follow(b"/x"), Err(PathError::Absolute(_))));
        assert!(matches!(layer.follow(b".."), Err(PathError::Empty(_))));
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_clean_and_stays_as_it_is(text in "[a./]{0,12}", target in "[b./]{0,12}") {
            let Ok(path) = MemberPath::parse(text.as_bytes()) else { return Ok(()) };
            let paths = [Ok(path.clone()), path.follow(target.as_bytes())];
            for path in paths.into_iter().flatten() {
                let is_clean = |component: &str| !matches!(component, "" | "." | "..");
                prop_assert!(path.as_str().split('/').all(is_clean), "{}", path);
                prop_assert_eq!(MemberPath::parse(path.as_str().as_bytes()), Ok(path));
            }
        }

        #[test]
        fn any_bytes_are_a_path_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(path) = MemberPath::parse(&bytes) {
                prop_assert!(!path.as_str().starts_with('/'));
            }
        }
    }
}
