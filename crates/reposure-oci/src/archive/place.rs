//! Where something is in a source, as errors have it.

use std::fmt;

/// A file of an archive or folder, and where its content is: `index.json (from byte 1536)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPlace {
    /// The file's path in the archive or folder.
    pub name: String,
    /// Where its content starts in the archive, in bytes; of one that is compressed as a whole, in what comes out of it. A folder's
    /// file has no such place.
    pub offset: Option<u64>,
}

impl fmt::Display for MemberPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        self.offset.map_or(Ok(()), |offset| write!(formatter, " (from byte {offset})"))
    }
}
