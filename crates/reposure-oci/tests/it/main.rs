//! The registry client over direct connections, against a registry in memory with the quirks of real ones, and against real
//! ones.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may say so by panicking")]

mod auth;
mod bad_archives;
mod bad_registries;
mod blobs;
mod challenges;
mod deletes;
mod examples;
mod fixture;
mod forms;
mod kinds;
mod lists;
mod manifests;
mod network;
mod openshift;
mod real;
mod recall;
mod referrers;
mod remote;
mod rotation;
mod stores;
mod transfer;
mod uploads;
