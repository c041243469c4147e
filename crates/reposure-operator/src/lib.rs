//! The controller that keeps a surrogate for every `Registry`.
//!
//! | module | holds |
//! |---|---|
//! | `args` | the command line |
//! | `run` | what runs beside each other, and its end |
//! | `election`, `standing` | which of several operators leads |
//! | `watch` | what is watched, and which registries it triggers |
//! | `reconcile` | the shell: observe, plan, apply, report |
//! | `report` | conditions from what was observed; no IO |
//! | `probe` | `GET /status` of a surrogate |
//! | `refusal` | why Kubernetes creates no pod |
//! | `renewal` | renews the certificates of built-in registries |
//! | `lost_node` | takes a surrogate off a node that is lost |
//! | `memory` | what was applied, and how often it failed |
//! | `events`, `status` | what is written of a registry |
//! | `health`, `metrics` | `/alive`, `/ready`, `/metrics` |

mod args;
mod context;
mod election;
mod events;
mod health;
mod lost_node;
mod memory;
mod metrics;
mod probe;
mod reconcile;
mod refusal;
mod renewal;
mod report;
mod run;
mod standing;
mod status;
mod watch;

pub use args::{Args, log_format, tracing_filter};
pub use run::run;
