//! Images into a registry, without a surrogate: [`push`] and [`copy`].
//!
//! A registry is one more source and one more sink of [`Artifact`](crate::Artifact)s. So an image of an archive is pushed by
//! [`archive::open`](crate::archive::open) and [`push`], one of a registry is saved by [`remote::fetch`](crate::remote::fetch) and
//! [`sink::write_artifact`](crate::sink::write_artifact), and copied between registries by `remote::fetch` and [`push`], which
//! is what [`copy`] does. Signatures, SBOMs and the like go along by [`push_with_referrers`] and [`copy_with_referrers`].
//!
//! # Guarantees
//! - A tag is put last, after the registry has confirmed every blob and every manifest below it. A push that fails or is
//!   dropped changes no tag.
//! - Every byte is checked against the digest that the manifest names for it, on its way into a registry and into an archive.
//! - Manifests go byte for byte as they are.
//!
//! How far a transfer is comes as [`Event`]s of a channel.
//!
//! # Limits
//! A blob goes by one request, or in chunks where a registry, or a proxy before it, takes no body of that size, and after a cut where
//! the registry tells how much of it came. What an image of a registry may hold is said at [`remote`](crate::remote).
//!
//! # Examples
//! ```no_run
//! use reposure_oci::{
//!     DirectOptions, DirectTransport,
//!     registry::Client,
//!     transfer::{Event, Progress, PushOptions, copy},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let source = Client::new(DirectTransport::new(DirectOptions::new("http://localhost:5000".parse()?))?);
//! let target = Client::new(DirectTransport::new(DirectOptions::new("http://localhost:5001".parse()?))?);
//! let (progress, mut events) = Progress::channel();
//! tokio::spawn(async move {
//!     while let Some(event) = events.recv().await {
//!         if let Event::Finished { part, how } = event {
//!             println!("part {part}: {how:?}");
//!         }
//!     }
//! });
//! let (from, to) = ("app:v1".parse()?, "backup/app:v1".parse()?);
//! let digest = copy(&source, &from, &target, &to, &PushOptions::default(), progress).await?;
//! println!("{digest}");
//! # Ok(())
//! # }
//! ```

mod copy;
mod error;
mod nodes;
mod progress;
mod push;
mod upload;

pub use copy::{copy, copy_with_referrers, push_with_referrers};
pub use error::PushError;
pub use nodes::{parts, walk};
pub use progress::{Event, How, Progress};
pub use push::{PushOptions, push};
