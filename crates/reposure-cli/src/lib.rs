//! The `reposure` command, also a kubectl plugin.
//!
//! | module | holds |
//! |---|---|
//! | `args` | what a user may type; the doc comments there are the help texts |
//! | `commands` | a folder per noun, a file per verb |
//! | `context` | kubeconfig, namespace and output of one run |
//! | `connect` | from a registry's name to a session with its surrogate |
//! | `standalone` | registries that no operator sees to |
//! | `daemon` | where docker and podman listen |
//! | `folders` | where files of the user's are |
//! | `format` | the formats of standard output |
//! | `reference` | the reference of all commands, as Markdown |
//! | `exit` | what an error's exit code is, and what to try |
//! | `place` | sources and targets on the command line |
//! | `printable` | text of others, without what steers a terminal |
//! | `roles` | the commands by which an administrator gives a right |
//! | `output` | tables, JSON and YAML on standard output |
//! | `bars` | progress bars on standard error, on a terminal |
//!
//! Data goes to standard output, everything else to standard error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints")]

mod args;
mod bars;
mod commands;
mod connect;
mod context;
mod daemon;
mod exit;
mod folders;
mod format;
mod other_registry;
mod output;
mod place;
mod printable;
mod reference;
mod roles;
mod run;
mod service_account;
mod standalone;

pub use exit::Kind;
pub use reference::reference;
pub use run::main;
