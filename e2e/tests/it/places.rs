//! Images come from standard input and from other registries, and go to other registries, with what refers to them.

use std::fs::{self, File};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Forward, Run, Stage};
use reposure_testing::random::RandomImage;
use serde_json::Value;

#[test]
fn an_archive_comes_from_standard_input() -> Result<()> {
    Stage::play("stdin", |stage| {
        let image = RandomImage::new(4, 2, 2 << 20)?;
        let mut archive = Vec::new();
        image.write_oci_archive("v1", &mut archive)?;
        let push = |bytes: &[u8], name: &str| {
            stage.reposure(&["image", "push", "default", name, "-"]).stdin(bytes).output()
        };
        let pushed = push(&archive, "piped:v1")?;
        ensure!((pushed.code, pushed.text()) == (Some(0), image.digest()), "{pushed}");
        let cut = push(&archive[..archive.len() / 2], "cut:v1")?;
        ensure!(cut.code == Some(6), "half an archive: {cut}");
        ensure!(stage.reposure(&["image", "list", "default"]).ok()?.text() == "piped:v1", "another tag");
        Ok(())
    })
}

/// The registry in the cluster, reached through a forwarded port, stands for another one.
#[test]
fn an_image_goes_from_one_registry_to_another() -> Result<()> {
    Stage::play("registries", |stage| {
        let image = RandomImage::new(5, 3, 3 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("image.tar"))?)?;
        stage.reposure(&["image", "push", "default", "first:v1", "image.tar"]).ok()?;
        let forward = Forward::start(stage, "service/reposure-simple", 5000)?;
        let other = |name: &str| format!("registry:{}/{name}", forward.host());
        let pushed = stage.reposure(&["image", "push", "default", "second:v1", &other("first:v1")]).ok()?;
        ensure!(pushed.text() == image.digest(), "{pushed}");
        stage.reposure(&["image", "pull", "default", "second:v1", &other("third:v1")]).ok()?;
        let seen = stage.beside("crane", &["digest", "--insecure", "@third:v1"])?;
        ensure!(seen.text() == image.digest(), "{seen}");
        stage.reposure(&["image", "verify", "default", "third:v1", "--diff-ids"]).ok()?;
        let missing = stage.reposure(&["image", "push", "default", "x", &other("nothing:v1")]).output()?;
        ensure!(missing.code == Some(3), "{missing}");
        Ok(())
    })
}

#[test]
fn what_refers_to_an_image_comes_along() -> Result<()> {
    Stage::play("referrers", |stage| {
        RandomImage::new(6, 1, 1000)?.write_oci_archive("v1", File::create(stage.path("image.tar"))?)?;
        stage.reposure(&["image", "push", "default", "app:v1", "image.tar"]).ok()?;
        copy_with_referrers(stage)?;
        let listed = stage.reposure(&["image", "list", "default"]).ok()?;
        ensure!(listed.text() == "app:v1\ncopy:v1", "{listed}");
        Ok(())
    })
}

/// Attaches something to `app:v1`, pulls both and pushes them as `copy:v1`, which is referred to by the same then.
pub(crate) fn copy_with_referrers(stage: &Stage) -> Result<()> {
    let forward = Forward::start(stage, "service/reposure-simple", 5000)?;
    fs::write(stage.path("sbom.json"), "{}")?;
    let subject = format!("{}/app:v1", forward.host());
    let attach = ["attach", "--plain-http", "--artifact-type", "example/sbom", &subject, "sbom.json"];
    Run::new(stage.environment.tool("oras")).folder(&stage.path("")).args(attach).ok()?;
    let before = referrers(stage, "app:v1")?;
    ensure!(before.len() == 1, "{before:?}");
    stage.reposure(&["image", "pull", "default", "app:v1", "oci:layout", "--referrers"]).ok()?;
    stage.reposure(&["image", "push", "default", "copy:v1", "oci:layout:v1", "--referrers"]).ok()?;
    ensure!(referrers(stage, "copy:v1")? == before, "the copy is referred to by others");
    Ok(())
}

/// The digests of what refers to an image.
fn referrers(stage: &Stage, name: &str) -> Result<Vec<String>> {
    let listed = stage.reposure(&["image", "referrers", "default", name, "-o", "json"]).ok()?;
    let listed: Value = serde_json::from_slice(&listed.stdout)?;
    let digest = |referrer: &Value| referrer["digest"].as_str().map(ToOwned::to_owned);
    listed.as_array().context("no list")?.iter().map(|one| digest(one).context("no digest")).collect()
}
