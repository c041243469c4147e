//! Images go from the docker and podman of this machine into the registry and back, without an archive between.

use std::path::Path;

use anyhow::{Result, ensure};
use reposure_e2e::{Run, SourceImage, Stage, TestDaemon};

#[test]
fn an_image_of_docker_is_pushed() -> Result<()> {
    Stage::play("docker-daemon", |stage| {
        let daemon = TestDaemon::docker(stage)?;
        pushes(stage, &daemon, "docker-daemon", "DOCKER_HOST")
    })
}

#[test]
fn an_image_of_podman_is_pushed() -> Result<()> {
    Stage::play("podman", |stage| {
        let daemon = TestDaemon::podman(stage)?;
        pushes(stage, &daemon, "podman", "CONTAINER_HOST")
    })
}

/// Loads an image into a daemon, and sees to it that it arrives with its ID, by its name and by its ID.
fn pushes(stage: &Stage, daemon: &TestDaemon, prefix: &str, variable: &str) -> Result<()> {
    let source = SourceImage::busybox(stage, &stage.namespace)?;
    load(daemon, &source.archive)?;
    let push = |name: &str, place: &str| {
        let source = format!("{prefix}:{place}");
        stage.reposure(&["image", "push", "default", name, &source]).env(variable, daemon.address())
    };
    let from_archive = ["image", "push", "default", "archive:v1", "busybox.tar"];
    let digest = stage.reposure(&from_archive).ok()?.text();
    // Compressed to the same bytes, the image has the same digest whichever way it comes.
    ensure!(push("name:v1", "e2e:v1").ok()?.text() == digest, "the name gave another image");
    ensure!(push("long:v1", "docker.io/library/e2e:v1").ok()?.text() == digest, "the long name did");
    let manifest = stage.beside("crane", &["manifest", "--insecure", "@name:v1"])?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.stdout)?;
    let id = manifest["config"]["digest"].as_str().unwrap_or_default();
    ensure!(push("id:v1", id).ok()?.text() == digest, "the ID {id} gave another image");
    stage.beside("crane", &["validate", "--insecure", "--remote", "@id:v1"])?;
    let (back, target) = ("localhost/back:v1", format!("{prefix}:localhost/back:v1"));
    let pull = ["image", "pull", "default", "name:v1", &target];
    let loaded = stage.reposure(&pull).env(variable, daemon.address()).ok()?.text();
    ensure!(loaded == back, "{prefix} says that it has loaded {loaded}");
    ensure!(push("back:v1", back).ok()?.text() == digest, "what was pulled is another image");
    loads(stage, daemon, &push, &digest)?;
    for missing in ["e2e", "e2e:v2", "nothing"] {
        let refused = push("nothing:v1", missing).output()?;
        ensure!(refused.code == Some(3) && refused.stderr.contains("has no image"), "{refused}");
    }
    Ok(())
}

/// Sees to it that the daemon loads every form of archive that is pulled for it, and that it is the image `digest` then.
fn loads(stage: &Stage, daemon: &TestDaemon, push: &dyn Fn(&str, &str) -> Run, digest: &str) -> Result<()> {
    for (name, place) in [("both", ""), ("alone", "docker-archive:")] {
        let image = format!("loaded/{name}:v1");
        let file = format!("{name}.tar");
        stage.reposure(&["image", "push", "default", &image, "busybox.tar"]).ok()?;
        stage.reposure(&["image", "pull", "default", &image, &format!("{place}{file}")]).ok()?;
        load(daemon, &stage.path(&file))?;
        let back = push(&format!("loaded/{name}:v2"), &image).ok()?.text();
        ensure!(back == digest, "{file} was loaded as another image: {back}");
    }
    Ok(())
}

#[test]
fn containerd_imports_every_form_that_is_pulled() -> Result<()> {
    Stage::play("containerd", |stage| {
        let daemon = TestDaemon::containerd(stage)?;
        let source = SourceImage::busybox(stage, &stage.namespace)?;
        let archive = source.archive.display().to_string();
        for (name, place) in [("both", ""), ("docker", "docker-archive:"), ("oci", "oci-archive:")] {
            let image = format!("imported/{name}:v1");
            let file = format!("{name}.tar");
            stage.reposure(&["image", "push", "default", &image, &archive]).ok()?;
            stage.reposure(&["image", "pull", "default", &image, &format!("{place}{file}")]).ok()?;
            // Unpacks the layers, and compares each with the diff ID of the configuration.
            ctr(stage, &daemon, &["images", "import", "--snapshotter", "native", &file])?;
            let listed = ctr(stage, &daemon, &["images", "list", "-q"])?;
            ensure!(listed.contains(&image), "{file} was imported as {listed}");
        }
        Ok(())
    })
}

fn ctr(stage: &Stage, daemon: &TestDaemon, args: &[&str]) -> Result<String> {
    let socket = daemon.socket().display().to_string();
    let run = Run::new("/usr/bin/ctr").folder(&stage.path("")).args(["--address", &socket]).args(args);
    run.ok().map(|output| output.text())
}

fn load(daemon: &TestDaemon, archive: &Path) -> Result<()> {
    let socket = daemon.socket().display();
    let archive = format!("@{}", archive.display());
    Run::new("curl")
        .args(["--fail", "--silent", "--show-error", "--unix-socket", &socket.to_string()])
        .args(["--header", "Content-Type: application/x-tar", "--data-binary", &archive])
        .args(["http://localhost/images/load?quiet=1"])
        .ok()
        .map(drop)
}
