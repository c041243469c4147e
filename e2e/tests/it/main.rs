//! The end-to-end tests: what users do, on a real cluster. `make test-e2e` runs them.

mod acceptance;
mod access;
mod archives;
mod channels;
mod daemons;
mod failures;
mod lifecycle;
mod names;
mod places;
mod rights;
mod surrogate;
mod traffic;
