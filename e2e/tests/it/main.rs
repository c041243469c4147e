//! The end-to-end tests: what users do, on a real cluster. `make test-e2e` runs them.

mod acceptance;
mod access;
mod alone;
mod archives;
mod cert_manager;
mod certificates;
mod channels;
mod daemons;
mod failures;
mod forms;
mod grants;
mod lifecycle;
mod middle;
mod names;
mod openshift;
mod operator;
mod oracles;
mod places;
mod policies;
mod resilience;
mod rights;
mod secured;
mod shells;
mod standalone;
mod surrogate;
mod traffic;
