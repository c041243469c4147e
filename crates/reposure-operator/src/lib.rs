//! The controller that keeps a surrogate for every `Registry`.
//!
//! | module | holds |
//! |---|---|
//! | `args` | the command line |
//! | `run` | what runs beside each other, and its end |
//! | `watch` | what is watched, and which registries it triggers |
//! | `reconcile` | the shell: observe, plan, apply, report |
//! | `report` | conditions from what was observed; no IO |
//! | `probe` | `GET /status` of a surrogate |
//! | `memory` | what was applied, and how often it failed |
//! | `events`, `status` | what is written of a registry |
//! | `health` | `/alive` and `/ready` |

mod args;
mod context;
mod events;
mod health;
mod memory;
mod probe;
mod reconcile;
mod report;
mod run;
mod status;
mod watch;

pub use args::{Args, tracing_filter};
pub use run::run;
