//! A client of the OCI distribution API, over any transport.
//!
//! See the [distribution specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md).
//!
//! # Guarantees
//! - Nothing is stored until the registry has said 201 with the right digest, or confirmed it by a `HEAD` with the right size.
//! - A manifest that was asked for by digest, or came with one, has it.
//! - Every wait has a deadline, every body a limit; what can be asked again is, a few times, with growing pauses.
//!
//! # Examples
//! ```no_run
//! use reposure_oci::{DirectOptions, DirectTransport, RepositoryName, registry::Client};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(DirectTransport::new(DirectOptions::new("http://localhost:5000".parse()?))?);
//! let repository: RepositoryName = "myrepo/app".parse()?;
//! for tag in client.tags(&repository).await? {
//!     let manifest = client.get_manifest(&repository, &tag.as_str().parse()?).await?;
//!     println!("{tag}: {}", manifest.digest());
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
mod blobs;
mod call;
mod chunks;
mod client;
mod code;
mod delete;
mod error;
mod fallback;
mod immutable;
mod limits;
mod link;
mod lists;
mod location;
mod manifests;
mod operation;
mod ping;
mod proof;
mod range;
mod range_bytes;
mod referrers;
mod retry;
mod session;
mod source;
mod store;
mod strategy;
mod upkeep;
mod uploads;
mod whole_blob;

pub use blobs::BlobStream;
pub use client::Client;
pub use code::ErrorCode;
pub use delete::TagDeletion;
pub use error::{Asked, Error, Failure, OciError, Refusal};
pub use fallback::is_referrer_tag;
pub use limits::Limits;
pub use operation::{Action, Operation};
pub use ping::Ping;
pub use proof::Proof;
pub use session::{Mount, Session};
pub use store::Stored;
pub(crate) use store::{Step, Storing, Watcher};
pub use strategy::{CHUNK, UploadStrategy};
