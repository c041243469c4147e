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
    versions: HashMap<ObjectName, Option<String>>,
    errors: u32,
    looks: u32,
    generation: Option<i64>,
}

impl Memory {
    /// Returns what of `plan` is to be carried out: all of it if it was not yet, else what is not, as `version` finds it, as it was left. The
    /// status of a `StatefulSet` changes several times until its pod is ready, and none of the others has to be looked at for that.
    pub(crate) fn left_to_do(
        &self,
        uid: &str,
        plan: &Plan,
        version: impl Fn(&ObjectName) -> Option<String>,
    ) -> Plan {
        let Some(known) = self.registries.get(uid).filter(|known| known.plan == *plan) else {
            return plan.clone();
        };
        let as_left = |name: &ObjectName| known.versions.get(name).is_some_and(|left| version(name) == *left);
        let steps = plan.steps.iter().filter(|step| !as_left(&step.object().name()));
        Plan { steps: steps.cloned().collect() }
    }

    /// Remembers that `plan` was carried out, of which this was `applied` now.
    pub(crate) fn applied(&mut self, uid: &str, plan: &Plan, applied: &[Applied]) {
        let known = self.registries.entry(uid.into()).or_default();
        if known.plan != *plan {
            known.plan = plan.clone();
            known.versions.clear();
        }
        let versions =
            applied.iter().map(|applied| (applied.object.clone(), applied.resource_version.clone()));
        known.versions.extend(versions);
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

    fn plan(names: &[&str]) -> (Plan, Vec<Applied>) {
        let object = |name: &&str| {
            let mut config_map = ConfigMap::default();
            config_map.metadata.name = Some((*name).into());
            Object::from(config_map)
        };
        let plan = Plan::of(names.iter().map(object));
        let applied = |object: &Object| Applied {
            object: object.name(),
            change: Change::Created,
            resource_version: Some("7".into()),
        };
        let applied = plan.objects().map(applied).collect();
        (plan, applied)
    }

    #[test]
    fn what_was_applied_is_so_until_somebody_changes_it() {
        let (plan, applied) = plan(&["a", "b"]);
        let mut memory = Memory::default();
        let seen = |of_b: Option<&'static str>| {
            move |object: &ObjectName| {
                if object.name == "a" { Some("7".to_owned()) } else { of_b.map(Into::into) }
            }
        };
        let names = |plan: Plan| plan.objects().map(|object| object.name().name).collect::<Vec<_>>();
        assert_eq!(names(memory.left_to_do("u", &plan, seen(Some("7")))), ["a", "b"]);
        memory.applied("u", &plan, &applied);
        assert!(names(memory.left_to_do("u", &plan, seen(Some("7")))).is_empty());
        assert_eq!(names(memory.left_to_do("u", &plan, seen(Some("8")))), ["b"], "changed");
        assert_eq!(names(memory.left_to_do("u", &plan, seen(None))), ["b"], "deleted");
        let again = Applied { resource_version: Some("8".into()), ..applied[1].clone() };
        memory.applied("u", &plan, &[again]);
        assert!(names(memory.left_to_do("u", &plan, seen(Some("8")))).is_empty());
        let (other, _) = self::plan(&["a", "c"]);
        assert_eq!(names(memory.left_to_do("u", &other, seen(Some("8")))), ["a", "c"], "another plan");
        memory.failed("u");
        assert_eq!(names(memory.left_to_do("u", &plan, seen(Some("8")))), ["a", "b"], "failed");
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
