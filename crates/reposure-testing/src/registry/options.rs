//! How the registry is set up, and how it departs from the specification.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::openshift::Cluster;

/// How the registry is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Whether to speak TLS, with a certificate of an authority made at start.
    pub tls: bool,
    /// What its certificate is for beside `localhost` and the address.
    pub names: Vec<String>,
    /// Whether TLS asks for a certificate of that authority.
    pub client_certificate: bool,
    /// Who may come in.
    pub auth: Auth,
    /// How it departs from the specification, at first.
    pub quirks: Quirks,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls: false,
            names: Vec::new(),
            client_certificate: false,
            auth: Auth::Open,
            quirks: Quirks::default(),
        }
    }
}

/// Who may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Anyone.
    #[default]
    Open,
    /// Whoever sends this name and password with each request.
    Basic(Users),
    /// Whoever brings a token of the registry's own `/token`.
    Bearer {
        /// Who gets a token with what it asks for; anyone else gets one for nothing but `pull` where `anonymous_pull`.
        users: Users,
        /// Whether anyone may pull.
        anonymous_pull: bool,
        /// How long a token is good; `None` leaves `expires_in` out and means 60 s.
        expires_in: Option<Duration>,
        /// Whether `POST /token` is served; otherwise it is 404.
        post: bool,
        /// What the challenge names instead of the registry's own `/token`.
        realm: Option<String>,
    },
    /// Whoever sends this name and password, or brings a token of the registry's own `/v2/token`, as in Gitea: its refusals have a
    /// header for each, that of tokens without a service.
    Both {
        /// Who gets a token.
        users: Users,
        /// What the challenge names instead of the registry's own `/v2/token`.
        realm: Option<String>,
    },
    /// Whoever brings a token of the API server, with which he may do what RBAC says, as in OpenShift.
    OpenShift(Cluster),
}

impl Auth {
    /// Returns token authentication with defaults.
    pub fn bearer(users: Users) -> Self {
        Self::Bearer { users, anonymous_pull: false, expires_in: None, post: true, realm: None }
    }
}

/// The one who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
    /// An identity token (OAuth refresh token) that `POST /token` takes.
    pub identity_token: Option<String>,
}

impl Users {
    /// Returns a name and a password, without an identity token.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), password: password.into(), identity_token: None }
    }
}

/// How the registry departs from the specification.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is an independent switch of a test")]
pub struct Quirks {
    /// What deleting by tag gives.
    pub tag_delete: TagDelete,
    /// Whether tags that exist can be neither moved nor deleted, and how that is said.
    pub immutable: Option<Immutable>,
    /// Whether anything can be deleted; otherwise 405 `UNSUPPORTED`.
    pub delete_enabled: bool,
    /// What `Location` looks like.
    pub location: LocationForm,
    /// What `Docker-Content-Digest` holds.
    pub digest_header: DigestHeader,
    /// Whether the tag list of an emptied repository is `null`, as Distribution has it, and lists hold a `null` item.
    pub null_lists: bool,
    /// The names on one page of a list, whatever `n` asks for.
    pub page: usize,
    /// Whether `Link` names another host, as behind a proxy that does not tell its name.
    pub link_other_host: bool,
    /// Whether pages end without a `Link`, as in Gitea.
    pub no_link: bool,
    /// Whether `Range` is ignored on blobs: 200 with the whole.
    pub ignore_range: bool,
    /// Whether blobs can be mounted; otherwise 202.
    pub mount: bool,
    /// Whether the status of an upload is refused for an old `Location`, as Distribution 2.8 does.
    pub stale_status_refused: bool,
    /// Whether the status of an upload is refused without the state in its `Location`, as Distribution 2.8 does.
    pub status_needs_state: bool,
    /// Whether the status of an upload is never told: 405.
    pub status_refused: bool,
    /// Whether a blob is stored under whatever digest it is said to have.
    pub digests_unchecked: bool,
    /// What `OCI-Chunk-Min-Length` says.
    pub smallest_chunk: Option<u64>,
    /// Whether every PATCH after the first is dropped silently, as in ECR.
    pub drop_later_patches: bool,
    /// Whether `Range` counts what was dropped as if it were there.
    pub dropped_counted: bool,
    /// Whether a PATCH with `Content-Range`, and a second one, is refused, as in Artifact Registry.
    pub no_chunks: bool,
    /// The longest PATCH with `Content-Range`; a longer one gets 416, as in GHCR.
    pub largest_chunk: Option<u64>,
    /// Whether a second PATCH without `Content-Range` is refused, as in Gitea.
    pub range_wanted: bool,
    /// Whether `Content-Range` is not looked at, as in Distribution 2.8.
    pub range_ignored: bool,
    /// What a mount without `from` gives.
    pub anonymous_mount: AnonymousMount,
    /// Whether there is no `Location` in the answer to a manifest, as in ECR.
    pub no_manifest_location: bool,
    /// Whether a manifest without `mediaType` is refused, as in ECR.
    pub media_type_wanted: bool,
    /// Whether the next page is known by a word that only `Link` tells, as in Quay.
    pub opaque_pages: bool,
    /// Whether digests are listed among the tags, as in Artifactory.
    pub digests_as_tags: bool,
    /// Whether repositories' names have two parts, as in OpenShift.
    pub two_parts: bool,
    /// Whether a manifest stays as long as a tag is of it, as in OpenShift.
    pub tagged_stay: bool,
    /// Whether a manifest is not deleted by its digest before its tags are: 400 `GOOGLE_MANIFEST_DANGLING_TAG`, as in Artifact
    /// Registry.
    pub tags_first: bool,
    /// Whether the catalog is refused with 403, as in OpenShift for whoever is not an administrator.
    pub no_catalog: bool,
    /// Whether the catalog wants name and password where the rest wants a token, as in Harbor.
    pub basic_catalog: bool,
    /// Whether a 401 has no challenge but that of `/v2/`, as in gcr.io.
    pub bare_401: bool,
    /// Whether a token is good for nothing that is asked for `delete` by its name, as in Quay.
    pub delete_scope_refused: bool,
    /// What `POST /token` is answered with whatever comes: 401 in Artifactory.
    pub token_post: Option<u16>,
    /// An identity token is taken once: each answer brings the next one.
    pub identity_once: bool,
    /// What must be there before something is pushed.
    pub first_push: FirstPush,
    /// Bodies above this many bytes get 413.
    pub body_limit: Option<u64>,
    /// Whether a PATCH whose length is not said gets 411, as from proxies that take no streams.
    pub length_wanted: bool,
    /// How many bytes of a body are read per second.
    pub drain_rate: Option<u64>,
    /// The host, with scheme, to which GETs of blobs are redirected: `http://127.0.0.1:1234`.
    pub redirect_blobs: Option<String>,
    /// Whether blobs are called `text/html`.
    pub html_blobs: bool,
    /// Whether it lists referrers; otherwise that is 404, as in Distribution.
    pub referrers: bool,
    /// Whether its list of referrers leaves out other artifact types than the one that is asked for.
    pub filters: bool,
    /// Whether manifests come with an `ETag`, and `If-Match` is heeded.
    pub etags: bool,
    /// Whether the registry takes manifests whose blobs it does not have.
    pub sparse: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            tag_delete: TagDelete::Accepted,
            immutable: None,
            delete_enabled: true,
            location: LocationForm::Relative,
            digest_header: DigestHeader::Right,
            null_lists: false,
            page: 100,
            link_other_host: false,
            no_link: false,
            ignore_range: false,
            mount: true,
            stale_status_refused: false,
            status_needs_state: false,
            status_refused: false,
            digests_unchecked: false,
            smallest_chunk: None,
            drop_later_patches: false,
            dropped_counted: false,
            no_chunks: false,
            largest_chunk: None,
            range_wanted: false,
            range_ignored: false,
            anonymous_mount: AnonymousMount::Opens,
            no_manifest_location: false,
            media_type_wanted: false,
            opaque_pages: false,
            digests_as_tags: false,
            two_parts: false,
            tagged_stay: false,
            tags_first: false,
            no_catalog: false,
            basic_catalog: false,
            bare_401: false,
            delete_scope_refused: false,
            token_post: None,
            identity_once: false,
            first_push: FirstPush::MakesAll,
            body_limit: None,
            length_wanted: false,
            drain_rate: None,
            redirect_blobs: None,
            html_blobs: false,
            referrers: false,
            filters: true,
            etags: false,
            sparse: false,
        }
    }
}

/// What a mount without `from` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnonymousMount {
    /// 202 and an upload, as most do.
    Opens,
    /// 201 if any repository has the blob.
    Mounts,
    /// 400, as in Quay.
    Refused,
}

/// What must be there before something is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstPush {
    /// Nothing: the repository and the project that it is in are made.
    MakesAll,
    /// The project, that is the first part of a name; otherwise 401 `UNAUTHORIZED`, as in Harbor, which tells nobody what there is.
    MakesRepository,
    /// The repository; otherwise 404 `NAME_UNKNOWN`, as in ECR.
    MakesNothing,
}

/// What deleting by tag gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagDelete {
    /// 202, as in Distribution 3.
    Accepted,
    /// 400 `DIGEST_INVALID`, as in Distribution 2.8.
    DigestInvalid,
    /// 400 `UNSUPPORTED`, as in Harbor.
    Unsupported,
    /// 405 without a body.
    MethodNotAllowed,
}

/// How a registry says that a tag may be neither moved nor deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Immutable {
    /// 400 `TAG_INVALID`, and 405 for any deletion by tag, as in ECR.
    TagInvalid,
    /// 405 `UNSUPPORTED` that says that it is disallowed, as in ACR.
    MethodNotAllowed,
    /// 412 `PRECONDITION`, as in Harbor.
    PreconditionFailed,
    /// 409 without words.
    Conflict,
    /// 403 without words, when the tag is moved; a deletion by tag is 400.
    Forbidden,
}

/// What `Location` looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocationForm {
    /// A path.
    Relative,
    /// A URL, of the host that the request named.
    Absolute,
    /// A URL of the other scheme, as behind a proxy that ends TLS.
    OtherScheme,
    /// A URL of another host: `http://127.0.0.1:1234`.
    OtherHost(String),
}

/// What `Docker-Content-Digest` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestHeader {
    /// The digest.
    Right,
    /// Nothing: there is no header.
    Absent,
    /// The digest of something else.
    Wrong,
}
