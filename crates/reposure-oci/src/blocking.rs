//! Blocking work that ends when nobody waits for it any more.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::task::JoinError;

/// Tells blocking work that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Makes a reader that fails once nobody waits any more.
    pub(crate) fn reader<R: Read>(&self, inner: R) -> StopReader<R> {
        StopReader { inner, stop: self.clone() }
    }

    fn check(&self) -> io::Result<()> {
        // Not `Interrupted`, which readers try again.
        let stopped = || io::Error::other("nobody waits for this any more");
        if self.0.load(Ordering::Relaxed) { Err(stopped()) } else { Ok(()) }
    }
}

/// A reader that fails once nobody waits for what it reads.
#[derive(Debug)]
pub(crate) struct StopReader<R> {
    inner: R,
    stop: Stop,
}

impl<R: Read> Read for StopReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        self.inner.read(buffer)
    }
}

/// Stops the work when it is dropped.
struct Guard(Stop);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `job` on a thread where it may block.
///
/// # Errors
/// When the job panics, or the runtime ends.
///
/// # Cancel safety
/// When this is dropped, the job is told by its [`Stop`].
pub(crate) async fn run<T: Send + 'static>(
    job: impl FnOnce(&Stop) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let stop = Stop::default();
    let _guard = Guard(stop.clone());
    tokio::task::spawn_blocking(move || job(&stop)).await
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_ends() {
        let (sender, ended) = mpsc::channel();
        let endless = run(move |stop| {
            let error = io::copy(&mut stop.reader(io::repeat(0)), &mut io::sink()).unwrap_err();
            sender.send(error).unwrap();
        });
        tokio::time::timeout(Duration::from_millis(20), endless).await.unwrap_err();
        let error = ended.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(error.to_string(), "nobody waits for this any more");
    }
}
