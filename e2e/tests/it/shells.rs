//! Shells beside containers that have none.

use anyhow::{Result, ensure};
use reposure_e2e::Stage;

#[test]
fn a_shell_sees_what_it_is_beside() -> Result<()> {
    Stage::play("shells", |stage| {
        let script = "id -u; tr '\\0' ' ' </proc/1/cmdline; echo; cd /proc/1/root; cat etc/reposure/config.json; exit\n";
        let shell = |args: &[&str]| stage.reposure(args).stdin(script).ok().map(|output| output.text());
        let of_registry = shell(&["registry", "shell", "default"])?;
        ensure!(of_registry.starts_with("65532\n/reposure-surrogate serve"), "{of_registry}");
        ensure!(of_registry.contains("\"registry\": \"default\""), "no configuration in {of_registry}");
        let of_operator =
            stage.reposure(&["operator", "shell"]).stdin("tr '\\0' ' ' </proc/1/cmdline\n").ok()?;
        ensure!(of_operator.text().contains("/reposure-operator --namespace"), "{of_operator}");
        let of_simple =
            stage.reposure(&["simple", "shell"]).stdin("id -u; cd /proc/1/root; ls var/lib\n").ok()?;
        ensure!(
            of_simple.text().starts_with("1000\n") && of_simple.text().contains("registry"),
            "{of_simple}"
        );
        // What asks for nothing may end before anybody listens.
        for _ in 0..2 {
            let alone = stage.reposure(&["registry", "shell", "default", "--", "echo", "alone"]).ok()?;
            ensure!(alone.text() == "alone", "{alone}");
        }
        let missing = stage.reposure(&["operator", "shell", "--", "no-such-program"]).output()?;
        ensure!(missing.code == Some(5) && missing.stderr.contains("does not start"), "{missing}");
        let nobody = stage.reposure(&["registry", "shell", "other"]).output()?;
        ensure!(nobody.code == Some(3), "{nobody}");
        let list = stage.reposure(&["image", "list", "default"]).ok()?;
        ensure!(list.text().is_empty(), "the surrogate does not answer any more: {list}");
        Ok(())
    })
}

/// By a terminal that is none of this test's, as `script` makes one.
#[test]
fn a_shell_has_a_terminal() -> Result<()> {
    Stage::play("terminal", |stage| {
        let program = stage.environment.root.join("target/release/reposure");
        let command = format!("{} --namespace {} registry shell default", program.display(), stage.namespace);
        // A person looks before he leaves: what a shell says that ends as soon as it is attached to may be seen by nobody.
        let typed = "(sleep 5; echo tty; sleep 3; echo exit)";
        let line = format!("{typed} | script --quiet --return --command '{command}' /dev/null");
        let run = reposure_e2e::Run::new("sh").env("KUBECONFIG", &stage.environment.kubeconfig);
        let seen = run.args(["-c", &line]).ok()?.text();
        ensure!(seen.contains("/dev/pts/"), "{seen}");
        Ok(())
    })
}
