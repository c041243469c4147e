//! What was being done.

use std::fmt;

use crate::name::RepositoryName;

/// What was being done, to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub action: Action,
    /// Where, unless it is about the registry as such.
    pub repository: Option<RepositoryName>,
    /// To what: a tag or a digest.
    pub subject: Option<Box<str>>,
    /// How often it was tried.
    pub tries: u16,
    /// How long, from the first try to the last answer, in seconds, begun ones too; 0 where there was one try.
    pub seconds: u16,
}

/// The kinds of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Asking whether there is a registry.
    Ping,
    /// Reading a manifest.
    GetManifest,
    /// Asking for a manifest's digest.
    HeadManifest,
    /// Storing a manifest.
    PutManifest,
    /// Deleting a manifest or a tag.
    DeleteManifest,
    /// Asking for a blob's size.
    HeadBlob,
    /// Reading a blob.
    GetBlob,
    /// Mounting a blob from another repository.
    MountBlob,
    /// Opening an upload.
    StartUpload,
    /// Sending a part of a blob, or all of it.
    Upload,
    /// Ending an upload.
    FinishUpload,
    /// Asking how far an upload is.
    UploadStatus,
    /// Giving an upload up.
    CancelUpload,
    /// Listing tags.
    ListTags,
    /// Listing repositories.
    ListRepositories,
    /// Listing referrers.
    ListReferrers,
}

impl Action {
    const fn verb(self) -> &'static str {
        match self {
            Self::Ping => "ask for the registry's API",
            Self::GetManifest => "read manifest",
            Self::HeadManifest => "ask for manifest",
            Self::PutManifest => "store manifest",
            Self::DeleteManifest => "delete manifest",
            Self::HeadBlob => "ask for blob",
            Self::GetBlob => "read blob",
            Self::MountBlob => "mount blob",
            Self::StartUpload => "open an upload",
            Self::Upload => "send blob",
            Self::FinishUpload => "store blob",
            Self::UploadStatus => "ask how far an upload is",
            Self::CancelUpload => "give up an upload",
            Self::ListTags => "list the tags",
            Self::ListRepositories => "list the repositories",
            Self::ListReferrers => "list the referrers of",
        }
    }
}

impl Operation {
    pub(crate) const fn global(action: Action) -> Self {
        Self { action, repository: None, subject: None, tries: 1, seconds: 0 }
    }

    pub(crate) fn of(action: Action, repository: &RepositoryName) -> Self {
        Self { action, repository: Some(repository.clone()), subject: None, tries: 1, seconds: 0 }
    }

    pub(crate) fn on(action: Action, repository: &RepositoryName, subject: impl fmt::Display) -> Self {
        let subject = Some(subject.to_string().into());
        Self { action, repository: Some(repository.clone()), subject, tries: 1, seconds: 0 }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.action.verb())?;
        if let Some(subject) = &self.subject {
            write!(formatter, " {subject}")?;
        }
        self.repository.as_ref().map_or(Ok(()), |repository| write!(formatter, " of {repository}"))
    }
}
