//! What the end-to-end tests share: a stage on the real cluster, and commands on it.
//!
//! The tests drive the programs that users have, `reposure` and `kubectl`, and look at what became of it with other people's
//! tools: skopeo, crane, oras. They run on the cluster of `make cluster`, or on the one that `REPOSURE_E2E_KUBECONFIG` names.

mod command;
mod daemons;
mod detour;
mod environment;
mod forward;
mod images;
mod interception;
pub mod processor;
mod running;
mod scale;
mod stage;

pub use command::{Output, Run};
pub use daemons::TestDaemon;
pub use detour::{Detour, Server};
pub use environment::Environment;
pub use forward::Forward;
pub use images::{SourceImage, random_bytes};
pub use interception::Interception;
pub use running::Running;
pub use scale::Scale;
pub use stage::Stage;
