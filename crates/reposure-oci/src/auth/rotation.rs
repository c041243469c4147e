//! Credentials that change: those before are good until the registry knows of the change, too.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{content::Content, credentials::Credentials};

/// How long credentials are remembered after a change. A Secret reaches the pods that mount it within some 90 s, each in its own time,
/// and the registry looks at it within seconds then; what it still refuses is wrong.
const REMEMBERED: Duration = Duration::from_secs(100);
/// How long after a refusal the ones before are given, until the registry is asked again whether it knows the new ones.
const REFUSED: Duration = Duration::from_secs(5);

/// What was read last, and what was there before.
#[derive(Debug)]
pub(super) struct Rotation {
    current: Arc<Content>,
    read: Instant,
    before: Option<(Arc<Content>, Instant)>,
    refused: Option<Instant>,
}

impl Rotation {
    pub(super) const fn new(current: Arc<Content>, now: Instant) -> Self {
        Self { current, read: now, before: None, refused: None }
    }

    /// Takes what is there now.
    pub(super) fn update(&mut self, content: Arc<Content>, now: Instant) {
        self.read = now;
        if !self.current.same(&content) {
            let before = std::mem::replace(&mut self.current, content);
            (self.before, self.refused) = (Some((before, now + REMEMBERED)), None);
        }
    }

    /// Returns when it was read.
    pub(super) const fn read(&self) -> Instant {
        self.read
    }

    /// Returns what is to be given now.
    pub(super) fn content(&self, now: Instant) -> &Arc<Content> {
        match (&self.before, self.refused) {
            (Some((before, until)), Some(refused)) if now < *until && now < refused => before,
            _ => &self.current,
        }
    }

    /// Takes note that `credentials` were refused, and tells whether others are given now.
    pub(super) fn refuse(
        &mut self,
        credentials: &Credentials,
        choose: impl Fn(&Content) -> Option<Arc<Credentials>>,
        now: Instant,
    ) -> bool {
        let Some((before, until)) = &self.before else { return false };
        let is = |content: &Content| choose(content).is_some_and(|own| own.same(credentials));
        if now >= *until || !is(&self.current) || is(before) {
            return false;
        }
        self.refused = Some(now + REFUSED);
        true
    }

    /// Tells whether the ones before may be wanted still.
    pub(super) fn is_changing(&self, now: Instant) -> bool {
        self.before.as_ref().is_some_and(|(_, until)| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(password: &str) -> Credentials {
        Credentials::Basic { username: "ann".into(), password: password.into() }
    }

    fn content(password: &str) -> Arc<Content> {
        Arc::new(Content::One(Arc::new(basic(password))))
    }

    fn choose(content: &Content) -> Option<Arc<Credentials>> {
        content.choose(&[], None).ok()
    }

    fn given(rotation: &Rotation, now: Instant) -> Arc<Credentials> {
        choose(rotation.content(now)).unwrap()
    }

    #[test]
    fn the_ones_before_are_given_while_the_new_ones_are_refused() {
        let now = Instant::now();
        let mut rotation = Rotation::new(content("one"), now);
        assert!(!rotation.refuse(&basic("one"), choose, now), "there are no others");
        rotation.update(content("one"), now);
        assert!(!rotation.is_changing(now));

        rotation.update(content("two"), now);
        rotation.update(content("two"), now);
        assert!(rotation.is_changing(now));
        assert!(given(&rotation, now).same(&basic("two")));
        assert!(!rotation.refuse(&basic("one"), choose, now), "these are not the ones of now");
        assert!(rotation.refuse(&basic("two"), choose, now));
        assert!(given(&rotation, now).same(&basic("one")));
        assert!(given(&rotation, now + REFUSED).same(&basic("two")), "the registry may know by now");

        let late = now + REMEMBERED;
        assert!(!rotation.is_changing(late) && !rotation.refuse(&basic("two"), choose, late));
        assert!(given(&rotation, late).same(&basic("two")));
    }
}
