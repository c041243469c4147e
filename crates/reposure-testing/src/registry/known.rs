//! The quirks of registries that people run, as far as they are known.

use super::options::{AnonymousMount, FirstPush, LocationForm, Quirks, TagDelete};

impl Quirks {
    /// CNCF Distribution 2.8: no deletion by tag, no upload that goes on after a cut, `null` for no tags.
    #[must_use]
    pub fn distribution_2() -> Self {
        Self {
            tag_delete: TagDelete::DigestInvalid,
            stale_status_refused: true,
            status_needs_state: true,
            range_ignored: true,
            null_lists: true,
            location: LocationForm::Absolute,
            ..Self::default()
        }
    }

    /// Amazon ECR: chunks after the first are dropped and answered with 201; nothing is deleted, mounted or listed by this API, and
    /// no repository made.
    #[must_use]
    pub fn ecr() -> Self {
        Self {
            drop_later_patches: true,
            first_push: FirstPush::MakesNothing,
            no_manifest_location: true,
            media_type_wanted: true,
            delete_enabled: false,
            mount: false,
            no_catalog: true,
            status_needs_state: true,
            ..Self::default()
        }
    }

    /// Google Artifact Registry: no chunks, and no deletion by digest of what a tag is of.
    #[must_use]
    pub fn artifact_registry() -> Self {
        Self {
            no_chunks: true,
            tags_first: true,
            status_needs_state: true,
            location: LocationForm::Absolute,
            ..Self::default()
        }
    }

    /// GitHub's registry: chunks of at most 4 MiB, no catalog, nothing is deleted.
    #[must_use]
    pub fn ghcr() -> Self {
        Self { largest_chunk: Some(4 << 20), no_catalog: true, delete_enabled: false, ..Self::default() }
    }

    /// Quay: pages by `Link` only and of at most 100 names, referrers, no mount from anywhere, no `delete` in a token's scope.
    #[must_use]
    pub fn quay() -> Self {
        Self {
            opaque_pages: true,
            page: 100,
            delete_scope_refused: true,
            referrers: true,
            anonymous_mount: AnonymousMount::Refused,
            ..Self::default()
        }
    }

    /// Nexus: `null` among the tags.
    #[must_use]
    pub fn nexus() -> Self {
        Self { null_lists: true, tag_delete: TagDelete::MethodNotAllowed, ..Self::default() }
    }

    /// Artifactory: digests among the tags, and no tokens by POST.
    #[must_use]
    pub fn artifactory() -> Self {
        Self { digests_as_tags: true, token_post: Some(401), ..Self::default() }
    }

    /// OpenShift: names of two parts, no catalog, and no deletion but by its own API.
    #[must_use]
    pub fn openshift() -> Self {
        Self {
            two_parts: true,
            no_catalog: true,
            tag_delete: TagDelete::DigestInvalid,
            tagged_stay: true,
            ..Self::default()
        }
    }

    /// Harbor: no deletion by tag, a catalog that wants name and password, and no project that a push makes.
    #[must_use]
    pub fn harbor() -> Self {
        Self {
            tag_delete: TagDelete::Unsupported,
            basic_catalog: true,
            referrers: true,
            first_push: FirstPush::MakesRepository,
            ..Self::default()
        }
    }

    /// Gitea and Forgejo: `Content-Range` from the second chunk on, and pages without `Link`.
    #[must_use]
    pub fn gitea() -> Self {
        Self { range_wanted: true, no_link: true, ..Self::default() }
    }
}
