//! Threads that compress pieces; what they make comes back in order.

use std::{
    collections::VecDeque,
    io,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use sha2::{Digest as _, Sha256};

/// The pieces under way for each thread: one that it works on, and one that waits for it.
const PIECES: usize = 2;

/// The most threads for a layer. Each has two pieces of up to 4 MiB, and a push compresses two layers at once: on 128 cores that would
/// be 2 GiB, and is 256 MiB with 16. Each compresses tens of MiB/s, so that 16 are well ahead of an API server, which passes 150 on.
pub(crate) const THREADS: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not 0");

/// The first bytes of a SHA-256.
pub(super) type Sum = [u8; 16];

/// Compresses pieces, each by itself.
pub(super) trait Pack: Send + 'static {
    /// Compresses a piece.
    fn pack(&mut self, plain: &[u8]) -> io::Result<Packed>;
}

/// A piece that is compressed.
#[derive(Debug)]
pub(super) struct Packed {
    /// The compressed bytes.
    pub(super) bytes: Vec<u8>,
    /// The sum of the plain ones.
    pub(super) sum: Sum,
}

/// Returns the sum that tells pieces apart.
pub(super) fn sum(plain: &[u8]) -> Sum {
    let mut sum = Sum::default();
    let length = sum.len();
    sum.copy_from_slice(&Sha256::digest(plain)[..length]);
    sum
}

type Answer = io::Result<Packed>;

struct Job {
    plain: Vec<u8>,
    answer: SyncSender<Answer>,
}

/// Threads that end with it.
#[derive(Debug)]
pub(super) struct Pool {
    jobs: Sender<Job>,
    /// What is to come, in the pieces' order.
    answers: VecDeque<Receiver<Answer>>,
    limit: usize,
}

impl Pool {
    /// Starts `threads` threads, [`THREADS`] at the most, each with a packer of its own.
    pub(super) fn new<P: Pack>(threads: NonZeroUsize, make: impl Fn() -> io::Result<P>) -> io::Result<Self> {
        let threads = threads.min(THREADS);
        let (sender, receiver) = channel::<Job>();
        let jobs = Arc::new(Mutex::new(receiver));
        for _ in 0..threads.get() {
            let (jobs, packer) = (jobs.clone(), make()?);
            thread::Builder::new().name("compress".into()).spawn(move || work(&jobs, packer))?;
        }
        Ok(Self { jobs: sender, answers: VecDeque::new(), limit: threads.get().saturating_mul(PIECES) })
    }

    /// Gives a piece to the threads; returns the first of what is to come, once there are as many as there may be.
    pub(super) fn give(&mut self, plain: Vec<u8>) -> Option<Answer> {
        let (answer, packed) = sync_channel(1);
        // Where all threads are gone, the answer's end says so.
        let _ = self.jobs.send(Job { plain, answer });
        self.answers.push_back(packed);
        if self.answers.len() < self.limit { None } else { self.next() }
    }

    /// Waits for the next piece; there is none when all are back.
    pub(super) fn next(&mut self) -> Option<Answer> {
        let gone = |_| Err(io::Error::other("a thread that compresses has ended"));
        Some(self.answers.pop_front()?.recv().unwrap_or_else(gone))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, mut packer: impl Pack) {
    loop {
        // Held while waiting: one thread waits for a job, the others for it.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { plain, answer }) = job else { return };
        // Whoever asked may be gone.
        let _ = answer.send(packer.pack(&plain));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Copy;

    impl Pack for Copy {
        fn pack(&mut self, plain: &[u8]) -> io::Result<Packed> {
            Ok(Packed { bytes: plain.into(), sum: sum(plain) })
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_machine() {
        for (cores, threads) in [(1, 1), (16, 16), (17, 16), (1000, 16)] {
            let count = Cell::new(0);
            let make = || {
                count.set(count.get() + 1);
                Ok(Copy)
            };
            let mut pool = Pool::new(NonZeroUsize::new(cores).unwrap(), make).unwrap();
            assert_eq!(count.get(), threads);
            let waiting = (0..cores * PIECES).take_while(|_| pool.give(vec![1]).is_none()).count();
            assert_eq!(waiting, threads * PIECES - 1);
        }
    }
}
