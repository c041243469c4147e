//! Every form of a name is pushed, listed, pulled and deleted.

use std::fs;

use anyhow::{Result, ensure};
use reposure_e2e::{Output, Stage};

/// The exit code for what is not there.
const NOT_FOUND: Option<i32> = Some(3);

#[test]
fn every_form_of_a_name_is_pushed_listed_pulled_and_deleted() -> Result<()> {
    Stage::play("names", |stage| {
        for (name, listed) in [
            ("plain", "plain:latest"),
            ("team/app:v1.2.3", "team/app:v1.2.3"),
            ("three/parts/deep:a_b-c.D", "three/parts/deep:a_b-c.D"),
            ("looks.like/a-host:5000", "looks.like/a-host:5000"),
        ] {
            round_trip(stage, name, listed)?;
        }
        ensure!(stage.reposure(&["image", "list", "default"]).ok()?.text().is_empty(), "something is left");
        by_digest(stage)?;
        a_tag_goes_alone(stage)?;
        all(stage)
    })
}

fn round_trip(stage: &Stage, name: &str, listed: &str) -> Result<()> {
    let content = format!("content of {name}");
    fs::write(stage.path("file"), &content)?;
    let digest = stage.reposure(&["image", "push", "default", name, "file"]).ok()?.text();
    ensure!(digest.starts_with("sha256:"), "{digest} is no digest");
    let list = stage.reposure(&["image", "list", "default"]).ok()?;
    ensure!(list.text().lines().any(|line| line == listed), "{list}");
    let pulled = stage.reposure(&["image", "pull", "default", name, "--unpack"]).ok()?;
    ensure!(pulled.text() == content, "{pulled}");
    stage.reposure(&["image", "delete", "default", name]).ok()?;
    gone(&stage.reposure(&["image", "pull", "default", name, "--unpack"]).output()?)
}

/// An image without a tag is pushed, pulled and deleted by its digest.
fn by_digest(stage: &Stage) -> Result<()> {
    fs::write(stage.path("file"), "by digest")?;
    let digest = stage.reposure(&["image", "push", "default", "some/app:tmp", "file"]).ok()?.text();
    let name = format!("some/app@{digest}");
    ensure!(
        stage.reposure(&["image", "push", "default", &name, "file"]).ok()?.text() == digest,
        "another digest"
    );
    let pulled = stage.reposure(&["image", "pull", "default", &name, "--unpack"]).ok()?;
    ensure!(pulled.text() == "by digest", "{pulled}");
    let other = format!("some/app@sha256:{}", "0".repeat(64));
    let refused = stage.reposure(&["image", "push", "default", &other, "file"]).output()?;
    ensure!(refused.code == Some(6) && refused.stderr.contains(&digest), "{refused}");
    stage.reposure(&["image", "delete", "default", &name]).ok()?;
    gone(&stage.reposure(&["image", "pull", "default", &name, "--unpack"]).output()?)
}

fn a_tag_goes_alone(stage: &Stage) -> Result<()> {
    fs::write(stage.path("file"), "two tags")?;
    for name in ["two:first", "two:second"] {
        stage.reposure(&["image", "push", "default", name, "file"]).ok()?;
    }
    stage.reposure(&["image", "delete", "default", "two:first"]).ok()?;
    ensure!(
        stage.reposure(&["image", "list", "default"]).ok()?.text() == "two:second",
        "the other tag went too"
    );
    gone(&stage.reposure(&["image", "delete", "default", "two:first"]).output()?)
}

fn all(stage: &Stage) -> Result<()> {
    stage.reposure(&["image", "push", "default", "another", "file"]).ok()?;
    stage.reposure(&["image", "delete", "default", "--all"]).ok()?;
    let left = stage.reposure(&["image", "list", "default", "-o", "json"]).ok()?;
    ensure!(left.text() == "[]", "{left}");
    Ok(())
}

fn gone(output: &Output) -> Result<()> {
    ensure!(output.code == NOT_FOUND && output.stdout.is_empty(), "{output}");
    Ok(())
}
