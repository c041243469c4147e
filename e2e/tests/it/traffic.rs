//! What is there is not sent again.

use std::fs::File;

use anyhow::{Result, bail, ensure};
use reposure_e2e::Stage;
use reposure_testing::random::RandomImage;

#[test]
fn a_second_push_sends_no_layer_bytes() -> Result<()> {
    Stage::play("second-push", |stage| {
        // The registry is quiet by default; here its own log is the witness.
        stage
            .kubectl(&["set", "env", "deployment/reposure-simple", "REGISTRY_LOG_ACCESSLOG_DISABLED=false"])
            .ok()?;
        stage.kubectl(&["rollout", "status", "deployment/reposure-simple", "--timeout=60s"]).ok()?;
        let image = RandomImage::new(4, 5, 2 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("image.tar"))?)?;
        stage.reposure(&["image", "push", "default", "app:v1", "image.tar"]).ok()?;
        let before = requests(stage)?;
        stage.reposure(&["image", "push", "default", "app:v1", "image.tar"]).ok()?;
        let seen = requests(stage)?.split_off(before.len());
        let of = |method: &str, path: &str| {
            seen.iter().filter(|line| line.contains(method) && line.contains(path)).count()
        };
        ensure!(of("POST", "/v2/app/blobs/uploads") == 0, "an upload was opened: {seen:#?}");
        ensure!(of("PATCH", "/v2/") + of("PUT", "/blobs/uploads") == 0, "bytes were sent: {seen:#?}");
        ensure!(of("PUT", "/v2/app/manifests/v1") == 1, "the manifest was not put once: {seen:#?}");
        ensure!(of("HEAD", "/v2/app/blobs/") <= 6, "a blob was asked for more than once: {seen:#?}");
        Ok(())
    })
}

/// What crosses the cluster's network in the clear to this registry goes so all the way from the API server.
#[test]
fn chunks_for_a_registry_without_tls_go_without_it() -> Result<()> {
    Stage::play("clear", |stage| {
        // On a machine that is busy just then the way may seem a long one, on which it is not worth while.
        for seed in 50..60 {
            let image = File::create(stage.path("image.tar"))?;
            RandomImage::new(seed, 2, 9 << 20)?.write_oci_archive("v1", image)?;
            let pushed = stage.reposure(&["-vv", "image", "push", "default", "app:v1", "image.tar"]).ok()?;
            stage.reposure(&["image", "verify", "default", "app:v1"]).ok()?;
            if pushed.stderr.contains("chunks go without TLS behind the API server") {
                return Ok(());
            }
        }
        bail!("they go over TLS")
    })
}

/// The registry's own log of requests.
fn requests(stage: &Stage) -> Result<Vec<String>> {
    let logs = stage.kubectl(&["logs", "deployment/reposure-simple", "--tail=-1"]).ok()?.text();
    Ok(logs.lines().filter(|line| line.contains("HTTP/1.1")).map(str::to_owned).collect())
}
