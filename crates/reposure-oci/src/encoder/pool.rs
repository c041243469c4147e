//! Threads that compress pieces; the members come back in order.

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

use super::member::Members;
use crate::gzip::Level;

/// The pieces under way for each thread: one that it works on, and one that waits for it.
const PIECES: usize = 2;

type Member = io::Result<Vec<u8>>;

struct Job {
    plain: Vec<u8>,
    answer: SyncSender<Member>,
}

/// Threads that end with it.
#[derive(Debug)]
pub(super) struct Pool {
    jobs: Sender<Job>,
    /// The members to come, in the pieces' order.
    members: VecDeque<Receiver<Member>>,
    limit: usize,
}

impl Pool {
    /// Starts `threads` threads.
    pub(super) fn new(level: Level, threads: NonZeroUsize) -> io::Result<Self> {
        let (sender, receiver) = channel::<Job>();
        let jobs = Arc::new(Mutex::new(receiver));
        for _ in 0..threads.get() {
            let jobs = jobs.clone();
            thread::Builder::new().name("compress".into()).spawn(move || work(&jobs, level))?;
        }
        Ok(Self { jobs: sender, members: VecDeque::new(), limit: threads.get().saturating_mul(PIECES) })
    }

    /// Gives a piece to the threads; returns the first of the members to come, once there are as many as there may be.
    pub(super) fn give(&mut self, plain: Vec<u8>) -> Option<Member> {
        let (answer, member) = sync_channel(1);
        // Where all threads are gone, the answer's end says so.
        let _ = self.jobs.send(Job { plain, answer });
        self.members.push_back(member);
        if self.members.len() < self.limit { None } else { self.next() }
    }

    /// Waits for the next member; there is none when all pieces are back.
    pub(super) fn next(&mut self) -> Option<Member> {
        let gone = |_| Err(io::Error::other("a thread that compresses has ended"));
        Some(self.members.pop_front()?.recv().unwrap_or_else(gone))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, level: Level) {
    let mut members = Members::new(level);
    loop {
        // Held while waiting: one thread waits for a job, the others for it.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { plain, answer }) = job else { return };
        // Whoever asked may be gone.
        let _ = answer.send(members.make(&plain));
    }
}
