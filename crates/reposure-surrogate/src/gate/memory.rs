//! Which passwords were checked, so that bcrypt, which is slow on purpose, is asked once for each and not for each request.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use ring::{
    hmac::{self, HMAC_SHA256},
    rand::SystemRandom,
};

use super::users::Verdict;

/// How many right ones are remembered, and as many wrong ones beside them: some 100 KiB each.
const KNOWN: usize = 1024;

/// What is known of passwords. It holds neither them nor what could be compared with a hash elsewhere.
#[derive(Debug)]
pub(super) struct Memory {
    /// None where the system has no randomness, and then nothing is remembered.
    key: Option<hmac::Key>,
    right: Mutex<Table>,
    /// Beside the others, so that who guesses does not make us forget them.
    wrong: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    known: HashMap<[u8; 32], Verdict>,
    oldest_first: VecDeque<[u8; 32]>,
}

impl Memory {
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new()).ok();
        Self { key, right: Mutex::default(), wrong: Mutex::default() }
    }

    /// Returns what is known of a name and a password.
    pub(super) fn recall(&self, name: &str, password: &str, now: Instant) -> Option<Verdict> {
        let seal = self.seal(name, password)?;
        [&self.right, &self.wrong].into_iter().find_map(|table| {
            // Nothing can panic while it is held.
            let table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table.known.get(&seal).copied().filter(|verdict| verdict.until.is_none_or(|until| until > now))
        })
    }

    /// Takes note of what came of a check.
    pub(super) fn note(&self, name: &str, password: &str, verdict: Verdict) {
        let Some(seal) = self.seal(name, password) else { return };
        let table = if verdict.right.is_some() { &self.right } else { &self.wrong };
        table.lock().unwrap_or_else(PoisonError::into_inner).insert(seal, verdict);
    }

    fn seal(&self, name: &str, password: &str) -> Option<[u8; 32]> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        context.update(&(name.len() as u64).to_be_bytes());
        context.update(name.as_bytes());
        context.update(password.as_bytes());
        context.sign().as_ref().try_into().ok()
    }
}

impl Table {
    fn insert(&mut self, seal: [u8; 32], verdict: Verdict) {
        if self.known.insert(seal, verdict).is_none() {
            self.oldest_first.push_back(seal);
        }
        if self.known.len() > KNOWN
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reposure_parcel::wire::Right;

    use super::*;

    #[test]
    fn is_bounded_and_wrong_ones_drive_out_no_right_ones() {
        let (memory, now) = (Memory::new(), Instant::now());
        let good = Verdict { right: Some(Right::Pull), until: None };
        memory.note("ann", "one", good);
        for guess in 0..2 * KNOWN {
            memory.note("ann", &guess.to_string(), Verdict::WRONG);
        }
        assert_eq!(memory.recall("ann", "one", now), Some(good));
        assert_eq!(memory.recall("an", "none", now), None);
        assert_eq!(memory.recall("ann", "0", now), None);
        assert_eq!(memory.recall("ann", &(2 * KNOWN - 1).to_string(), now), Some(Verdict::WRONG));
        assert_eq!(memory.wrong.lock().unwrap().known.len(), KNOWN);
        assert_eq!(memory.wrong.lock().unwrap().oldest_first.len(), KNOWN);
    }

    #[test]
    fn forgets_what_is_over() {
        let (memory, now) = (Memory::new(), Instant::now());
        let until = now + Duration::from_secs(1);
        memory.note("ann", "old", Verdict { right: Some(Right::Admin), until: Some(until) });
        assert!(memory.recall("ann", "old", now).is_some());
        assert_eq!(memory.recall("ann", "old", until), None);
    }
}
