//! What a registry is where the distribution API is not all that there is to know of it.

use std::fmt;

use reposure_oci::RepositoryName;

/// A registry that has rules, or an API, of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryKind {
    /// OpenShift's: a repository is an ImageStream of a project, so that its name has two parts.
    OpenShift,
    /// Harbor: a repository is of a project, so that its name has two parts or more.
    Harbor,
}

/// A repository's name is none in a registry of this kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is no name in this registry: {} wants {}", .kind.title(), .kind.form())]
pub struct KindError {
    /// The name.
    pub name: RepositoryName,
    /// The kind.
    pub kind: RegistryKind,
}

impl RegistryKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::OpenShift, Self::Harbor];

    /// Returns the word for it in messages between programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenShift => "openshift",
            Self::Harbor => "harbor",
        }
    }

    /// Returns the kind that a word is for; none for one of a newer version.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Returns what people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::OpenShift => "OpenShift",
            Self::Harbor => "Harbor",
        }
    }

    /// Returns the form that a repository's name has.
    pub const fn form(self) -> &'static str {
        match self {
            Self::OpenShift => "PROJECT/NAME, exactly two parts",
            Self::Harbor => "PROJECT/NAME, two parts or more",
        }
    }

    /// Checks the form of a repository's name.
    ///
    /// # Errors
    /// When the name does not have the form of this kind.
    pub fn check(self, name: &RepositoryName) -> Result<(), KindError> {
        let parts = name.as_str().split('/').count();
        let fits = match self {
            Self::OpenShift => parts == 2,
            Self::Harbor => parts >= 2,
        };
        if fits { Ok(()) } else { Err(KindError { name: name.clone(), kind: self }) }
    }
}

impl fmt::Display for RegistryKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_parts_that_a_kind_wants() {
        let fits = |kind: RegistryKind, name: &str| kind.check(&name.parse().unwrap()).is_ok();
        for (name, openshift, harbor) in
            [("app", false, false), ("shop/app", true, true), ("shop/app/web", false, true)]
        {
            assert_eq!(fits(RegistryKind::OpenShift, name), openshift, "{name}");
            assert_eq!(fits(RegistryKind::Harbor, name), harbor, "{name}");
        }
        let error = RegistryKind::OpenShift.check(&"app".parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "app is no name in this registry: OpenShift wants PROJECT/NAME, exactly two parts"
        );
    }

    #[test]
    fn words_are_read_again_and_newer_ones_are_no_error() {
        for kind in RegistryKind::ALL {
            assert_eq!(RegistryKind::of(kind.as_str()), Some(kind));
        }
        assert_eq!(RegistryKind::of("distribution"), None);
    }
}
