//! What oras and regctl make of what is pushed, and what becomes of what they write: blob by blob.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Output, Run, Stage};
use reposure_testing::{digest_of, random::RandomImage};

/// As regctl wants to be told of a registry without TLS.
const PLAIN: [&str; 2] = ["--host", "reg=@@,tls=disabled"];

fn image() -> Result<RandomImage> {
    Ok(RandomImage::new(7, 3, 2 << 20)?)
}

fn tool(stage: &Stage, name: &str, args: &[&str]) -> Result<Output> {
    Run::new(stage.environment.tool(name)).folder(&stage.path("")).args(args).ok()
}

fn regctl(stage: &Stage, args: &[&str]) -> Result<Output> {
    stage.beside("regctl", &[&PLAIN[..], args].concat())
}

/// Compares the blobs in a layout with those of an image.
fn holds(layout: &Path, image: &RandomImage) -> Result<()> {
    for blob in image.blobs().into_iter().chain([image.manifest().clone()]) {
        let digest = digest_of(&blob);
        let file = layout.join("blobs").join(digest.replace(':', "/"));
        let found = fs::read(&file).with_context(|| format!("no blob {digest}"))?;
        ensure!(found == blob, "{} holds other bytes", file.display());
    }
    Ok(())
}

#[test]
fn oras_and_regctl_read_every_byte_of_what_is_pushed() -> Result<()> {
    Stage::play("oracles-read", |stage| {
        let image = image()?;
        image.write_oci_archive("v1", File::create(stage.path("app.tar"))?)?;
        stage.reposure(&["image", "push", "default", "app:v1", "app.tar"]).ok()?;
        stage.beside("oras", &["cp", "--from-plain-http", "@app:v1", "--to-oci-layout", "by-oras:v1"])?;
        holds(&stage.path("by-oras"), &image)?;
        regctl(stage, &["image", "copy", "@app:v1", "ocidir://by-regctl:v1"])?;
        holds(&stage.path("by-regctl"), &image)?;

        stage.reposure(&["image", "pull", "default", "app:v1", "oci:layout"]).ok()?;
        tool(stage, "oras", &["cp", "--from-oci-layout", "layout:v1", "--to-oci-layout", "again-oras:v1"])?;
        holds(&stage.path("again-oras"), &image)?;
        tool(stage, "regctl", &["image", "copy", "ocidir://layout:v1", "ocidir://again-regctl:v1"])?;
        holds(&stage.path("again-regctl"), &image)
    })
}

#[test]
fn what_oras_and_regctl_write_is_pushed_as_it_is() -> Result<()> {
    Stage::play("oracles-write", |stage| {
        let image = image()?;
        image.write_oci_layout("v1", &stage.path("layout"))?;
        tool(stage, "oras", &["cp", "--from-oci-layout", "layout:v1", "--to-oci-layout", "by-oras:v1"])?;
        tool(stage, "regctl", &["image", "copy", "ocidir://layout:v1", "ocidir://by-regctl:v1"])?;
        tool(stage, "regctl", &["image", "export", "ocidir://layout:v1", "exported.tar"])?;
        for source in ["by-oras", "by-regctl", "exported.tar"] {
            let name = format!("written/{}:v1", source.replace('.', "-"));
            let pushed = stage.reposure(&["image", "push", "default", &name, source]).ok()?;
            ensure!(pushed.text() == image.digest(), "{source} became {pushed}");
            stage.beside("crane", &["validate", "--insecure", "--remote", &format!("@{name}")])?;
        }
        // What others pushed into the registry is pulled as it is, too.
        stage.beside("oras", &["cp", "--from-oci-layout", "layout:v1", "--to-plain-http", "@oras/app:v1"])?;
        regctl(stage, &["image", "copy", "ocidir://layout:v1", "@regctl/app:v1"])?;
        for by in ["oras", "regctl"] {
            let (name, target) = (format!("{by}/app:v1"), format!("oci:pulled-{by}"));
            stage.reposure(&["image", "pull", "default", &name, &target]).ok()?;
            holds(&stage.path(&format!("pulled-{by}")), &image)?;
        }
        Ok(())
    })
}

#[test]
fn an_artifact_of_oras_arrives_with_its_files() -> Result<()> {
    Stage::play("oracles-artifact", |stage| {
        fs::write(stage.path("chart.txt"), &stage.namespace)?;
        let made = ["push", "--oci-layout", "artifact:v1", "--artifact-type", "a/b", "chart.txt:text/plain"];
        tool(stage, "oras", &made)?;
        stage.reposure(&["image", "push", "default", "artifact:v1", "artifact"]).ok()?;
        stage.beside("oras", &["pull", "--plain-http", "--output", "fetched", "@artifact:v1"])?;
        ensure!(fs::read_to_string(stage.path("fetched/chart.txt"))? == stage.namespace);
        stage.reposure(&["image", "pull", "default", "artifact:v1", "oci:back"]).ok()?;
        tool(stage, "oras", &["pull", "--oci-layout", "--output", "again", "back:v1"])?;
        ensure!(fs::read_to_string(stage.path("again/chart.txt"))? == stage.namespace);
        Ok(())
    })
}
