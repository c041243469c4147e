//! What is remembered of registries between reconciliations. Losing it costs requests, nothing else.

use std::{collections::HashMap, time::Duration};

use reposure_admin::{Applied, ObjectName, Plan};

/// The first pause after an error.
const SHORTEST_BACKOFF: Duration = Duration::from_secs(1);
/// The longest pause after errors.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// The pause between two looks at a registry that is ready.
const READY_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause between two looks at a registry that is not ready.
const UNREADY_PAUSE: Duration = Duration::from_secs(10);
/// The first pause of those: most surrogates reach their registry within a second of being ready.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What is remembered of registries, by UID.
#[derive(Default)]
pub(crate) struct Memory {
    registries: HashMap<String, Remembered>,
}

#[derive(Default)]
struct Remembered {
    plan: Plan,
    versions: Vec<(ObjectName, Option<String>)>,
    errors: u32,
    looks: u32,
    generation: Option<i64>,
}

impl Memory {
    /// Says whether `plan` was carried out and what it made is, as `version` finds it, as it was left.
    pub(crate) fn is_applied(
        &self,
        uid: &str,
        plan: &Plan,
        version: impl Fn(&ObjectName) -> Option<String>,
    ) -> bool {
        self.registries.get(uid).is_some_and(|known| {
            known.plan == *plan && known.versions.iter().all(|(object, left)| version(object) == *left)
        })
    }

    /// Remembers that `plan` was carried out.
    pub(crate) fn applied(&mut self, uid: &str, plan: &Plan, applied: &[Applied]) {
        let known = self.registries.entry(uid.into()).or_default();
        known.plan = plan.clone();
        known.versions = applied
            .iter()
            .map(|applied| (applied.object.clone(), applied.resource_version.clone()))
            .collect();
    }

    /// Forgets what was carried out, so that it is carried out again, and returns how long to wait before.
    pub(crate) fn failed(&mut self, uid: &str) -> Duration {
        let known = self.registries.entry(uid.into()).or_default();
        known.plan = Plan::default();
        known.errors = known.errors.saturating_add(1);
        doubled(SHORTEST_BACKOFF, known.errors - 1).min(LONGEST_BACKOFF)
    }

    /// Returns how long to wait before the next look at a registry whose objects are as they should be.
    pub(crate) fn pause(&mut self, uid: &str, generation: Option<i64>, ready: bool) -> Duration {
        let known = self.registries.entry(uid.into()).or_default();
        known.errors = 0;
        if ready || known.generation != generation {
            known.looks = 0;
            known.generation = generation;
        }
        if ready {
            return READY_PAUSE;
        }
        known.looks = known.looks.saturating_add(1);
        doubled(FIRST_PAUSE, known.looks - 1).min(UNREADY_PAUSE)
    }

    /// Forgets every registry that `exists` does not know.
    pub(crate) fn retain(&mut self, exists: impl Fn(&str) -> bool) {
        self.registries.retain(|uid, _| exists(uid));
    }

    /// Returns the number of registries.
    pub(crate) fn len(&self) -> usize {
        self.registries.len()
    }
}

/// Returns `pause`, doubled `times` times; six times are a minute.
fn doubled(pause: Duration, times: u32) -> Duration {
    pause * 2_u32.pow(times.min(6))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use reposure_admin::{Change, Object};

    use super::*;

    fn plan() -> (Plan, Vec<Applied>) {
        let mut config_map = ConfigMap::default();
        config_map.metadata.name = Some("a".into());
        let object = Object::from(config_map);
        let applied =
            Applied { object: object.name(), change: Change::Created, resource_version: Some("7".into()) };
        (Plan::of([object]), vec![applied])
    }

    #[test]
    fn what_was_applied_is_so_until_somebody_changes_it() {
        let (plan, applied) = plan();
        let mut memory = Memory::default();
        assert!(!memory.is_applied("u", &plan, |_| Some("7".into())));
        memory.applied("u", &plan, &applied);
        assert!(memory.is_applied("u", &plan, |_| Some("7".into())));
        assert!(!memory.is_applied("u", &plan, |_| Some("8".into())), "changed");
        assert!(!memory.is_applied("u", &plan, |_| None), "deleted");
        assert!(!memory.is_applied("u", &Plan::default(), |_| Some("7".into())), "another plan");
        memory.failed("u");
        assert!(!memory.is_applied("u", &plan, |_| Some("7".into())), "failed");
    }

    #[test]
    fn errors_back_off_up_to_a_minute() {
        let mut memory = Memory::default();
        let seconds: Vec<_> = (0..9).map(|_| memory.failed("u").as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        memory.pause("u", None, false);
        assert_eq!(memory.failed("u").as_secs(), 1);
    }

    #[test]
    fn looks_slow_down_until_ready_or_changed() {
        let mut memory = Memory::default();
        let mut pause = |generation, ready| memory.pause("u", Some(generation), ready).as_secs();
        let seconds: Vec<_> = (0..6).map(|_| pause(1, false)).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
        assert_eq!(pause(2, false), 1);
        assert_eq!(pause(2, true), 60);
        assert_eq!(pause(2, false), 1);
    }

    #[test]
    fn forgets_what_is_gone() {
        let mut memory = Memory::default();
        memory.failed("a");
        memory.failed("b");
        memory.retain(|uid| uid == "a");
        assert_eq!(memory.len(), 1);
    }
}
