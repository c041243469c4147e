//! The `reposure` program as users run it: its output, its errors and its exit codes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod archives;
mod compatibility;
mod compression;
mod copies;
mod credentials;
mod direct;
mod doctor;
mod environment;
mod failures;
mod formats;
mod info;
mod ladder;
mod manifests;
mod openshift;
mod operators;
mod plugin;
mod providers;
mod proxies;
mod pulls;
mod readers;
mod reference;
mod referrers;
mod resumed;
mod shells;
mod simple;
mod sources;
mod standalone;
mod targets;
mod usage;
mod verify;

use environment::TestEnvironment;
