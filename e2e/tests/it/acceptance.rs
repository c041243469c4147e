//! The acceptance script of the first Reposure, without TLS and password and with both.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{SourceImage, Stage};
use serde_json::json;

use crate::archives::image_id;

#[test]
fn an_image_pushed_from_outside_runs_on_every_node() -> Result<()> {
    Stage::play("acceptance", |stage| {
        fs::write(stage.path("hello.txt"), "Hello from outside!\n")?;
        stage.reposure(&["image", "push", "default", "catalog/hello", "hello.txt"]).ok()?;
        let hello = stage.reposure(&["image", "pull", "default", "catalog/hello", "--unpack"]).ok()?;
        ensure!(hello.stdout == b"Hello from outside!\n", "{hello}");

        SourceImage::busybox(stage, &stage.namespace)?;
        stage.reposure(&["image", "push", "default", "catalog/myimage", "busybox.tar"]).ok()?;
        let archive = stage.reposure(&["image", "pull", "default", "catalog/myimage"]).ok()?;
        fs::write(stage.path("copy.tar"), &archive.stdout)?;

        let listed = stage.reposure(&["image", "list", "default"]).ok()?;
        ensure!(listed.text() == "catalog/hello:latest\ncatalog/myimage:latest", "{listed}");

        let host = stage.host()?;
        if stage.environment.local {
            stage.environment.trust(&host)?;
        }
        runs_everywhere(stage, &format!("{host}/catalog/myimage"))
    })
}

/// Step by step, by its commands.
#[test]
fn an_image_runs_from_a_registry_with_tls_and_passwords() -> Result<()> {
    Stage::play_bare("script", |stage| {
        let htpasswd = format!("--from-literal=htpasswd=username:{}", bcrypt::hash("password", 10)?);
        let users = ["create", "secret", "generic", "reposure-simple-htpasswd", &htpasswd];
        stage.kubectl(&users).ok()?;
        stage.install_operator()?;
        let install = ["simple", "install", "--authentication", "--authorization", "--size=64Mi", "--wait"];
        stage.reposure(&install).args(stage.environment.gate_args()).ok()?;
        let server = format!("--docker-server={}", stage.reposure(&["simple", "host"]).ok()?.text());
        let user = ["--docker-username=username", "--docker-password=password"];
        let secret = ["create", "secret", "docker-registry", "reposure-simple-authorization", &server];
        stage.kubectl(&secret).args(user).ok()?;
        let by = "--authorization-secret=reposure-simple-authorization";
        stage.reposure(&["registry", "create", "default", "--provider=simple", by, "--wait"]).ok()?;

        fs::write(stage.path("hello.txt"), "Hello from outside!\n")?;
        stage.reposure(&["image", "push", "default", "catalog/hello", "hello.txt"]).ok()?;
        let hello = stage.reposure(&["image", "pull", "default", "catalog/hello", "--unpack"]).ok()?;
        ensure!(hello.stdout == b"Hello from outside!\n", "{hello}");
        SourceImage::busybox(stage, &stage.namespace)?;
        stage.reposure(&["image", "push", "default", "catalog/myimage", "busybox.tar"]).ok()?;
        let pulled = stage.reposure(&["image", "pull", "default", "catalog/myimage"]).ok()?;
        fs::write(stage.path("pulled.tar"), pulled.stdout)?;
        let id = |archive: &str| image_id(&stage.path(archive).display().to_string(), "docker-archive");
        ensure!(id("pulled.tar")? == id("busybox.tar")?, "another image was pulled");

        let host = stage.host()?;
        let authority = stage.path("ca.crt");
        fs::write(&authority, stage.reposure(&["registry", "info", "default", "cert"]).ok()?.stdout)?;
        if stage.environment.local {
            stage.environment.trust_authority(&host, &authority)?;
        }
        let pull = json!({"imagePullSecrets": [{"name": "reposure-simple-authorization"}]}).to_string();
        stage.kubectl(&["patch", "serviceaccount", "default", "-p", &pull]).ok()?;
        runs_everywhere(stage, &format!("{host}/catalog/myimage"))?;
        let listed = stage.reposure(&["image", "list", "default"]).ok()?;
        ensure!(listed.text() == "catalog/hello:latest\ncatalog/myimage:latest", "{listed}");
        Ok(())
    })
}

#[test]
fn images_of_every_compression_are_read_and_run() -> Result<()> {
    Stage::play("compression", |stage| {
        let host = stage.host()?;
        if stage.environment.local {
            stage.environment.trust(&host)?;
        }
        let nodes = stage.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]).ok()?.text();
        let node = nodes.split_whitespace().next().context("there are no nodes")?;
        for (name, option) in [
            ("zstd", "--compression=zstd"),
            ("none", "--compression=none"),
            ("single", "--compression-single-member"),
        ] {
            // A layer of its own: one that a node has is not unpacked again.
            let content = format!("{} {name}", stage.namespace);
            SourceImage::busybox(stage, &content)?;
            let image = format!("compression/{name}:v1");
            stage.reposure(&["image", "push", "default", &image, "busybox.tar", option]).ok()?;
            // Its validation takes every layer for gzip; its export reads all of them, to their ends.
            let exported = stage.beside("crane", &["export", "--insecure", &format!("@{image}"), "-"])?;
            ensure!(exported.text().contains(&content), "crane does not read {image}");
            runs(stage, node, &format!("{host}/{image}"), &content)?;
            stage.kubectl(&["delete", "pod", &format!("app-{node}"), "--now"]).ok()?;
        }
        Ok(())
    })
}

fn runs_everywhere(stage: &Stage, image: &str) -> Result<()> {
    let nodes = stage.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]).ok()?.text();
    nodes.split_whitespace().try_for_each(|node| runs(stage, node, image, &stage.namespace))
}

/// Runs a pod on a node that prints what only the pushed image holds.
fn runs(stage: &Stage, node: &str, image: &str, content: &str) -> Result<()> {
    let pod = format!("app-{node}");
    let overrides = format!(
        r#"{{"spec":{{"nodeName":"{node}","securityContext":{{"runAsNonRoot":true,"seccompProfile":{{"type":"RuntimeDefault"}}}},
        "containers":[{{"name":"app","image":"{image}","imagePullPolicy":"Always","args":["cat","/content.txt"],
        "securityContext":{{"allowPrivilegeEscalation":false,"capabilities":{{"drop":["ALL"]}}}}}}]}}}}"#
    );
    let args =
        ["run", &pod, "--restart=Never", &format!("--image={image}"), &format!("--overrides={overrides}")];
    stage.kubectl(&args).ok()?;
    let wait = format!("pod/{pod}");
    stage.kubectl(&["wait", "--for=jsonpath={.status.phase}=Succeeded", &wait, "--timeout=60s"]).ok()?;
    let logs = stage.kubectl(&["logs", &pod]).ok()?;
    ensure!(logs.text() == content, "{logs}");
    Ok(())
}
