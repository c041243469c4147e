//! The side of an upload that the registry sees: its bytes in order.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use reposure_oci::Digest;
use reposure_parcel::problem::Problem;

use super::{assembly::Stretch, pool::SEGMENT, upload::Upload};

impl Upload {
    /// Returns digest and size where both are known.
    pub(super) fn identity(&self) -> Option<(Digest, u64)> {
        let state = self.lock();
        state.digest.clone().zip(state.size)
    }

    /// Waits for [`Upload::seal`].
    pub(super) async fn sealed(&self) -> (Digest, u64) {
        loop {
            let changed = self.changed.notified();
            if let Some(identity) = self.identity() {
                return identity;
            }
            changed.await;
        }
    }

    /// Waits until a piece of at most `longest` bytes can begin, which is some segments or the blob's end, and returns its length;
    /// none when all was taken. Where the blob's size is unknown, all of the piece is there then.
    pub(super) async fn next_piece(&self, longest: u64) -> Option<u64> {
        poll_fn(|context| self.poll_piece(longest, context)).await
    }

    fn poll_piece(&self, longest: u64, context: &Context<'_>) -> Poll<Option<u64>> {
        let mut state = self.lock();
        let (size, taken) = (state.size, state.assembly.taken());
        // Where the registry went on in the middle of a segment, the first piece ends with it.
        let longest = longest.saturating_sub(taken % SEGMENT as u64);
        let length = size.map_or(longest, |size| longest.min(size.saturating_sub(taken)));
        let is_ready = match size {
            Some(_) => length == 0 || state.assembly.is_ready(size),
            // No more than that is sure to come.
            None => state.assembly.received().prefix() - taken >= length,
        };
        if is_ready {
            return Poll::Ready((length > 0).then_some(length));
        }
        state.feeder = Some(context.waker().clone());
        Poll::Pending
    }

    /// Takes the next bytes for the registry; none when all were taken.
    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Stretch, Problem>>> {
        let mut state = self.lock();
        if let Some(Err(problem)) = &state.outcome {
            return Poll::Ready(Some(Err(problem.clone())));
        }
        let size = state.size;
        if let Some(stretch) = state.assembly.take(size) {
            return Poll::Ready(Some(Ok(stretch)));
        }
        if size == Some(state.assembly.taken()) {
            return Poll::Ready(None);
        }
        state.feeder = Some(context.waker().clone());
        Poll::Pending
    }

    /// Notes that bytes that were taken have left memory.
    pub(super) fn release(&self, bytes: u64) {
        let mut state = self.lock();
        let Some(account) = &mut state.account else { return };
        account.release(bytes);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Makes bytes that give their place back when they are dropped.
    pub(super) fn leaving(self: &Arc<Self>, stretch: Stretch) -> Bytes {
        struct Leaving {
            stretch: Stretch,
            upload: Arc<Upload>,
        }
        impl AsRef<[u8]> for Leaving {
            fn as_ref(&self) -> &[u8] {
                self.stretch.as_ref()
            }
        }
        impl Drop for Leaving {
            fn drop(&mut self) {
                self.upload.release(self.stretch.as_ref().len() as u64);
            }
        }
        Bytes::from_owner(Leaving { stretch, upload: self.clone() })
    }
}
