//! A namespace of its own for each test, with what the test needs in it, and a look at everything in it when the test fails.

use std::{fs, path::PathBuf, thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::{Environment, Forward, Output, Run};

/// A namespace and a folder that end with the test.
#[derive(Debug)]
pub struct Stage {
    /// The cluster.
    pub environment: Environment,
    /// The namespace.
    pub namespace: String,
    folder: TempDir,
}

impl Stage {
    /// Plays a test on a stage with a registry, and shows what is on the stage when it fails.
    ///
    /// # Errors
    /// Those of the stage and of the test.
    pub fn play(test: &str, act: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        Self::play_bare(test, |stage| stage.set_up().and_then(|()| act(stage)))
    }

    /// Plays a test on a stage with nothing on it.
    ///
    /// # Errors
    /// Those of the stage and of the test.
    pub fn play_bare(test: &str, act: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let stage = Self::new(test)?;
        let done = act(&stage);
        if done.is_err() {
            stage.dump();
        }
        done
    }

    /// Makes a namespace that enforces the `restricted` Pod Security Standard.
    ///
    /// # Errors
    /// When there is no cluster.
    pub fn new(test: &str) -> Result<Self> {
        let environment = Environment::find()?;
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let unique = folder.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let namespace = format!("e2e-{test}-{}", unique.trim_start_matches("tmp").to_lowercase());
        let stage = Self { environment, namespace, folder };
        stage.environment.kubectl().args(["create", "namespace", &stage.namespace]).ok()?;
        let enforce = "pod-security.kubernetes.io/enforce=restricted";
        stage.environment.kubectl().args(["label", "namespace", &stage.namespace, enforce]).ok()?;
        Ok(stage)
    }

    /// Makes a namespace with an operator, a simple registry and the registry `default`, all ready.
    ///
    /// # Errors
    /// When one of them does not become ready.
    pub fn with_registry(test: &str) -> Result<Self> {
        let stage = Self::new(test)?;
        stage.set_up()?;
        Ok(stage)
    }

    fn set_up(&self) -> Result<()> {
        self.install_operator()?;
        self.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
        self.reposure(&["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"])
            .ok()?;
        Ok(())
    }

    /// Installs an operator for this namespace.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn install_operator(&self) -> Result<()> {
        let install = ["operator", "install", "--wait", "--timeout=2m"];
        self.reposure(&install).args(self.environment.image_args()).ok().map(drop)
    }

    /// Runs `reposure` in the namespace.
    pub fn reposure(&self, args: &[&str]) -> Run {
        self.environment
            .reposure()
            .folder(self.folder.path())
            // What other tests pushed is none of this one's business.
            .env("XDG_CACHE_HOME", self.folder.path())
            .args(["--namespace", &self.namespace])
            .args(args)
    }

    /// Runs `reposure` in the namespace, on a node of the local cluster, where Services are reached; elsewhere on this machine.
    pub fn reposure_on_node(&self, args: &[&str]) -> Run {
        if !self.environment.local {
            return self.reposure(args);
        }
        let program = self.environment.root.join("target/release/reposure").display().to_string();
        self.environment
            .on_node("node1", &program)
            .folder(self.folder.path())
            .env("XDG_CACHE_HOME", self.folder.path())
            .args(["--namespace", &self.namespace])
            .args(args)
    }

    /// Runs `kubectl` in the namespace.
    pub fn kubectl(&self, args: &[&str]) -> Run {
        self.environment
            .kubectl()
            .folder(self.folder.path())
            .args(["--namespace", &self.namespace])
            .args(args)
    }

    /// Makes a kubeconfig of a ServiceAccount in the namespace, with a token of one hour.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn kubeconfig_of(&self, account: &str) -> Result<PathBuf> {
        let token = self.kubectl(&["create", "token", account, "--duration=1h"]).ok()?.text();
        let kubeconfig = self.path(&format!("{account}.kubeconfig"));
        fs::copy(&self.environment.kubeconfig, &kubeconfig)?;
        let config = |args: &[&str]| {
            self.kubectl(&["config"]).args(args).env("KUBECONFIG", &kubeconfig).ok().map(drop)
        };
        config(&["set-credentials", account, &format!("--token={token}")])?;
        config(&["set-context", "--current", &format!("--user={account}")])?;
        Ok(kubeconfig)
    }

    /// Returns a path in the stage's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns what pods put before the name of an image in the registry `default`.
    ///
    /// # Errors
    /// When there is no such registry.
    pub fn host(&self) -> Result<String> {
        Ok(self.reposure(&["registry", "info", "default", "host"]).ok()?.text())
    }

    /// Runs a tool of others that reaches the registry `default` by itself: on a node of the local cluster, elsewhere through a
    /// forwarded port. In its arguments `@` stands for the registry's host and a slash, `@@` for the host alone.
    ///
    /// # Errors
    /// When there is no registry, or the tool fails.
    pub fn beside(&self, tool: &str, args: &[&str]) -> Result<Output> {
        let run = |run: Run, host: String| {
            let args = args.iter().map(|arg| arg.replace("@@", &host).replace('@', &format!("{host}/")));
            run.folder(self.folder.path()).args(args).ok()
        };
        if self.environment.local {
            return run(self.environment.on_node("node1", tool), self.host()?);
        }
        let forward = Forward::start(self, "service/reposure-simple", 5000)?;
        run(Run::new(self.environment.tool(tool)), forward.host())
    }

    /// Asks a pod by `curl`, as another pod could: from a node of the local cluster, elsewhere through a forwarded port. In the
    /// arguments `@` stands for the pod's address and this port.
    ///
    /// # Errors
    /// When there is no such pod, or it does not answer.
    pub fn curl(&self, pod: &str, port: u16, args: &[&str]) -> Result<Output> {
        let run = |run: Run, host: String| run.args(args.iter().map(|arg| arg.replace('@', &host))).ok();
        if self.environment.local {
            let address = self.kubectl(&["get", "pod", pod, "-o", "jsonpath={.status.podIP}"]).ok()?.text();
            return run(self.environment.on_node("node2", "curl"), format!("{address}:{port}"));
        }
        let forward = Forward::start(self, &format!("pod/{pod}"), port)?;
        run(Run::new("curl"), forward.host())
    }

    /// Waits until `check` holds.
    ///
    /// # Errors
    /// When it does not within 2 minutes.
    pub fn until(&self, what: &str, mut check: impl FnMut() -> Result<bool>) -> Result<()> {
        for _ in 0..240 {
            if check()? {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(500));
        }
        bail!("not within 2 minutes: {what}")
    }

    /// Prints what is in the namespace, for the one who looks for the cause of a failure.
    #[allow(clippy::print_stderr, reason = "the state of a test that failed")]
    fn dump(&self) {
        let everywhere = "jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} \
                          {.metadata.deletionTimestamp} {.metadata.finalizers}{\"\\n\"}{end}";
        let going = "jsonpath={range .items[?(@.metadata.deletionTimestamp)]}{.metadata.name} \
                     {.status.conditions[?(@.status==\"True\")].message}{\"\\n\"}{end}";
        let looks: [&[&str]; 6] = [
            // This test may have failed of what others have left.
            &["get", "registries", "--all-namespaces", "-o", everywhere],
            &["get", "namespaces", "-o", going],
            &["get", "all,registries,configmaps,pvc", "-o", "wide"],
            &["get", "registries", "-o", "yaml"],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &[
                "logs",
                "-l",
                "app.kubernetes.io/part-of=reposure",
                "--all-containers",
                "--prefix",
                "--tail=40",
            ],
        ];
        for look in looks {
            if let Ok(output) = self.kubectl(look).output() {
                eprintln!("{output}");
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if thread::panicking() {
            self.dump();
        }
        let _ = self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]).output();
    }
}
