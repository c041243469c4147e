//! The messages of the HTTP API that a Reposure surrogate answers, the same on every channel.
//!
//! | request | module |
//! |---|---|
//! | `GET /reposure/v1/hello` | [`hello`] |
//! | `POST /reposure/v1/exists` | [`exists`] |
//! | `POST /reposure/v1/uploads`, `PUT …/ID/OFFSET`, `GET …/ID`, `POST …/ID/commit`, `POST …/ID/cancel` | [`upload`] |
//! | `GET /reposure/v1/results/ID` | [`problem`] (a late answer to any request) |
//! | `PUT /reposure/v1/blobs/REPOSITORY/DIGEST` | [`whole`] |
//! | `PUT /v2/REPOSITORY/manifests/REFERENCE` that waits for blobs | [`after`] |
//! | `GET /reposure/v1/probe/N`, `PUT /reposure/v1/probe` | [`probe`] |
//! | `POST /reposure/v1/tickets` | [`ticket`] |
//! | `POST /reposure/v1/storage` | [`storage`] |
//! | `GET /status` (second port, no token) | [`status`] |
//! | `/v2/…` | the OCI distribution API of the registry behind the surrogate |
//!
//! Paths and header names are in [`wire`], what bounds the messages in [`limits`], errors in [`problem`], the file that
//! configures a surrogate in [`config`], how a session over standard input and output begins in [`session`], and when it is given up in
//! [`watched`]. What a
//! gate before the built-in registry and the plan of its pod agree on is in [`gate`], and what registries there are with rules of
//! their own in [`kind`].

pub mod after;
pub mod config;
pub mod exists;
pub mod gate;
pub mod hello;
pub mod kind;
pub mod limits;
pub mod probe;
pub mod problem;
pub mod session;
pub mod status;
pub mod storage;
pub mod ticket;
pub mod upload;
pub mod watched;
pub mod whole;
pub mod wire;
