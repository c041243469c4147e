//! What every connection shares.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
};

use super::{
    auth::Tokens,
    fault::Faults,
    log::Log,
    options::{Auth, Quirks},
    store::Store,
};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) auth: Auth,
    pub(crate) tokens: Tokens,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) connections: AtomicUsize,
    quirks: Mutex<Quirks>,
    store: Mutex<Store>,
}

impl Shared {
    pub(crate) fn new(address: SocketAddr, tls: bool, auth: Auth, quirks: Quirks) -> Self {
        Self {
            address,
            tls,
            auth,
            tokens: Tokens::default(),
            faults: Faults::default(),
            log: Log::default(),
            connections: AtomicUsize::new(0),
            quirks: Mutex::new(quirks),
            store: Mutex::default(),
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    pub(crate) fn quirks(&self) -> Quirks {
        self.quirks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change_quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.quirks.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
