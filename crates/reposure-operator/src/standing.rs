//! Whether an operator leads or stands by, and what is seen of the cluster while it leads.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use reposure_api::{ConditionType, State, conditions};

use crate::{context::Stores, metrics::Metrics};

/// Whether an operator leads or stands by.
#[derive(Default)]
pub(crate) struct Standing(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    answered: bool,
    stores: Option<Vec<Stores>>,
}

impl Standing {
    /// Takes note that the API server has answered.
    pub(crate) fn answered(&self) {
        self.lock().answered = true;
    }

    /// Takes note that this operator leads, and of what it sees.
    pub(crate) fn lead(&self, stores: Vec<Stores>) {
        self.lock().stores = Some(stores);
    }

    /// Takes note that it does not lead any more.
    pub(crate) fn stand_by(&self) {
        self.lock().stores = None;
    }

    /// Says whether it has seen the cluster, or stands by to. One that waits for the end of another is ready too: it is replaced by a
    /// rolling update, which goes on when the new one is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let inner = self.lock();
        let seen = |stores: &Stores| matches!(stores.wait_until_ready().now_or_never(), Some(Ok(())));
        inner.stores.as_ref().map_or(inner.answered, |stores| stores.iter().all(seen))
    }

    /// Writes down what can be counted now.
    pub(crate) fn measure(&self, metrics: &Metrics) {
        let inner = self.lock();
        let registries =
            inner.stores.iter().flatten().flat_map(|stores| stores.registries.state()).collect::<Vec<_>>();
        let ready = registries.iter().filter(|registry| {
            let status = registry.status.as_ref();
            status.is_some_and(|status| {
                conditions::state(&status.conditions, ConditionType::Ready) == State::True
            })
        });
        metrics.set(inner.stores.is_some(), ready.count(), registries.len());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
