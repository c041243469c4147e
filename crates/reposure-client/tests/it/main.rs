//! Pushes and pulls over each channel: a stand-in for the API server, a real surrogate, a registry in memory.
//!
//! What can go wrong between a client and a registry, and where it is tested; paths are from the root, without `crates/reposure-`
//! and `tests/it`.
//!
//! | what goes wrong | tests |
//! |---|---|
//! | the API server is away in the middle | `cuts`, `failures`; `e2e/disruptive`, `e2e/resilience` |
//! | its certificate is another one | `cli/credentials` |
//! | a link that is half open: no answer ever | `silent`, `failures` (`How::Hang`) |
//! | a link that never returns | `dead`; `retry` in `src` |
//! | 101, and then no stream or process, or nothing at all | `exec`, `port_forward`, `silent` |
//! | the surrogate is replaced | `failures`, `exec`; `e2e/surrogate`, `e2e/resilience` |
//! | client and surrogate are of other versions | `versions`; `surrogate/uploads`; `session` in `src`; `multiplexed` in `src/channel` |
//! | the client is killed, or reads no output | `surrogate/sessions`; `e2e/resilience` |
//! | a stream that is truncated | `cuts`, `exec`, `port_forward`, `pull` (`How::CutWithin`) |
//! | bytes that are changed on the way | `corruption`, `pull` |
//! | 429 and 5xx of the registry, with `Retry-After` | `failures`, `pull`; `oci/network`, `surrogate/failures` |
//! | a full disk, a quota | `failures`; `cli/doctor`; `registry/answer` in `oci/src` |
//! | 413, of the registry or on the way | `traps`; `surrogate/body_limit`, `surrogate/forms`, `oci/stores` |
//! | the registry's token expires | `surrogate/registry_tokens`; `oci/auth` |
//! | the surrogate's token expires | `session` in `src`; `surrogate/tokens` |
//! | the kubeconfig's credentials expire | `cli/credentials`, `cli/doctor` |
//! | a slow registry | `surrogate/uploads`, `surrogate/body_limit`, `oci/uploads` |
//! | a slow link, and one that cuts what is idle | `slow`, `silent` |
//! | an API server of several addresses, of which some are down | `tcp` in `src/channel` |
//! | 429 and 503 before the surrogate, with `Retry-After` | `front` |
//! | what speaks HTTP/2 alone; a proxy for all that goes out | `front`; `cli/proxies` |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod beside;
mod corruption;
mod cuts;
mod dead;
mod direct;
mod exec;
mod failures;
mod front;
mod port_forward;
mod pull;
mod push;
mod silent;
mod slow;
mod support;
mod tickets;
mod traps;
mod versions;
mod watched;
