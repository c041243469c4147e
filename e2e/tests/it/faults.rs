//! An operator that is killed, or told to end, at a step of what it does. It is the program of the image, as its ServiceAccount, and everything else
//! is real; what stops it stands between it and the API server.

mod interceptor;
mod state;

use std::{
    fs,
    process::Child,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Run, Stage};

use self::{
    interceptor::{Interceptor, Stop},
    state::State,
};

/// By when a step has come, or a registry is ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing may happen until all has happened.
const STILL: Duration = Duration::from_secs(2);
/// How long an operator that is told to end may take for what it has begun, as it says itself.
const DRAIN: Duration = Duration::from_secs(20);
/// The end of this machine of the wire to the nodes of the local cluster.
const HOST: &str = "10.89.0.1";
const NODE: &str = "node1";

/// An operator as a process of this machine, in the network of a node where there is one.
struct Operator {
    child: Child,
    interceptor: Interceptor,
}

impl Operator {
    fn start(stage: &Stage, stop: Option<Stop>) -> Result<Self> {
        let local = stage.environment.local;
        let rights = stage.path("reposure-operator.kubeconfig");
        let interceptor = Interceptor::start(stage, &rights, if local { HOST } else { "127.0.0.1" }, stop)?;
        let kubeconfig = stage.path("operator.kubeconfig");
        fs::write(&kubeconfig, kubeconfig_of(&interceptor.url(), &stage.namespace))?;
        let program = stage.environment.root.join("target/release/reposure-operator");
        let run = if local {
            stage.environment.on_node(NODE, &program.display().to_string())
        } else {
            Run::new(program)
        };
        let image = stage.environment.image_args();
        // The pod's name is kept by a container that is started again, and the Lease with it.
        let args = ["--namespace", &stage.namespace, "--pod-name", &stage.namespace, "--health-port", "0"];
        let child = run
            .env("KUBECONFIG", &kubeconfig)
            .args(args)
            .args(image)
            .spawn_logged(&stage.path("operator.log"))?;
        Ok(Self { child, interceptor })
    }

    /// Kills it, so that it ends nothing.
    fn kill(mut self) -> Result<Vec<String>> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.interceptor.steps())
    }

    /// Tells it to end.
    fn terminate(&self) -> Result<()> {
        Run::new("kill").args([self.child.id().to_string()]).ok().map(drop)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn kubeconfig_of(server: &str, namespace: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: {server:?}}}}}]\n\
         users: [{{name: a, user: {{}}}}]\n\
         contexts: [{{name: a, context: {{cluster: a, user: a, namespace: {namespace}}}}}]\n"
    )
}

/// Makes what an operator and a registry need, but the operator's own pod.
fn prepare(stage: &Stage) -> Result<()> {
    stage.install_operator()?;
    stage.kubectl(&["scale", "deployment", "reposure-operator", "--replicas=0"]).ok()?;
    let gone = ["wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=reposure-operator"];
    stage.kubectl(&gone).args(["--timeout=60s"]).ok()?;
    stage.kubeconfig_of("reposure-operator")?;
    let install = ["simple", "install", "--authentication", "--ephemeral", "--wait", "--timeout=2m"];
    stage.reposure(&install).args(stage.environment.gate_args()).ok().map(drop)
}

/// Returns the name of a registry for each run, all of one length.
fn name(run: usize) -> String {
    format!("run-{run:03}")
}

fn create(stage: &Stage, name: &str) -> Result<()> {
    stage.reposure(&["registry", "create", name, "--provider=simple"]).ok().map(drop)
}

/// Waits until a registry is ready and nothing happens any more, and returns what there is then.
fn settled(stage: &Stage, name: &str) -> Result<State> {
    let ready = if stage.environment.local { "Ready" } else { "SurrogateReady" };
    let limit = format!("--timeout={}s", PATIENCE.as_secs());
    stage.kubectl(&["wait", &format!("--for=condition={ready}"), "registry", name, &limit]).ok()?;
    let (end, mut last) = (Instant::now() + PATIENCE, State::of(stage, name)?);
    while Instant::now() < end {
        sleep(STILL);
        let now = State::of(stage, name)?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
    anyhow::bail!("{name} does not come to rest")
}

#[test]
fn an_operator_that_is_killed_at_any_step_is_followed_by_one_that_ends_in_the_same_state() -> Result<()> {
    Stage::play_bare("killed", |stage| {
        prepare(stage)?;
        create(stage, &name(0))?;
        let whole = Operator::start(stage, None)?;
        let expected = settled(stage, &name(0))?;
        let steps = writes(&whole.kill()?);
        delete(stage, &name(0))?;
        let is_written = |word: &str| steps.iter().any(|(_, step)| step.contains(word));
        for word in ["/configmaps/", "/serviceaccounts/", "/statefulsets/", "/events", "/status"] {
            ensure!(is_written(word), "nothing is written of {word}: {steps:#?}");
        }
        let all = steps.iter().flat_map(|step| [(step, false), (step, true)]);
        for (run, ((at, step), done)) in all.enumerate() {
            let why = || format!("killed at step {at}, {step}, done: {done}");
            let found = killed_at(stage, &name(run + 1), Stop { at: *at, done }).with_context(why)?;
            expected.assert(&found).with_context(why)?;
        }
        Ok(())
    })
}

/// Returns what is written, each once, when it is first done: whoever is killed while he asks leaves what is there after the write before.
fn writes(steps: &[String]) -> Vec<(usize, String)> {
    let mut writes: Vec<(usize, String)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if !step.starts_with("GET") && !writes.iter().any(|(_, known)| known == step) {
            writes.push((at, step.clone()));
        }
    }
    writes
}

/// Makes a registry, kills an operator at a step of what it does for it, and returns what the next one ends in.
fn killed_at(stage: &Stage, name: &str, stop: Stop) -> Result<State> {
    create(stage, name)?;
    let first = Operator::start(stage, Some(stop))?;
    ensure!(
        first.interceptor.is_reached(PATIENCE)?,
        "it did not come to that step: {:#?}",
        first.interceptor.steps()
    );
    first.kill()?;
    let second = Operator::start(stage, None)?;
    let found = settled(stage, name)?;
    second.kill()?;
    delete(stage, name)?;
    Ok(found)
}

/// Deletes a registry, so that the next operator has but one to see to. Its objects go by themselves meanwhile.
fn delete(stage: &Stage, name: &str) -> Result<()> {
    stage.kubectl(&["delete", "registry", name, "--cascade=background"]).ok().map(drop)
}

#[test]
fn an_operator_that_is_told_to_end_ends_what_it_has_begun() -> Result<()> {
    Stage::play_bare("ending", |stage| {
        prepare(stage)?;
        create(stage, "default")?;
        // It has written the first object by then, and not heard of it.
        let mut operator = Operator::start(stage, Some(Stop { at: 2, done: true }))?;
        ensure!(operator.interceptor.is_reached(PATIENCE)?, "{:#?}", operator.interceptor.steps());
        operator.terminate()?;
        sleep(STILL);
        ensure!(operator.child.try_wait()?.is_none(), "it ended in the middle");
        operator.interceptor.go_on();
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = operator.child.try_wait()? {
                break status.code();
            }
            ensure!(begun.elapsed() < DRAIN, "it does not end");
            sleep(Duration::from_millis(100));
        };
        let (steps, log) = (operator.interceptor.steps(), fs::read_to_string(stage.path("operator.log"))?);
        ensure!(code == Some(0), "it ended with {code:?}: {log}");
        for written in ["/statefulsets/reposure-surrogate-default", "/registries/default/status"] {
            ensure!(
                steps.iter().any(|step| step.starts_with("PATCH") && step.ends_with(written)),
                "{steps:#?}"
            );
        }
        let holder = ["get", "lease", "reposure-operator", "-o", "jsonpath={.spec.holderIdentity}"];
        let holder = stage.kubectl(&holder).ok()?.text();
        ensure!(holder.is_empty(), "the Lease is still held by {holder}: {log}");
        Ok(())
    })
}
