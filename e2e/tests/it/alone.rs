//! What disturbs every other test, and so runs after them, and only on the local cluster: see `scripts/e2e.sh`.

use std::fs::File;

use anyhow::{Result, ensure};
use reposure_e2e::{Detour, Stage};
use reposure_testing::{RandomImage, relay::Link};

use crate::middle::{MEBIBYTE, assert_pulled, stop_at};

#[test]
fn a_push_survives_the_crash_of_the_api_server() -> Result<()> {
    Stage::play("lost-apiserver", |stage| {
        let image = RandomImage::new(7, 3, 16 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        let detour = Detour::start(stage, Link { bandwidth: Some(4 * MEBIBYTE), ..Link::default() })?;
        let mut push = detour.reposure(stage, &["image", "push", "default", "big:v1", "big.tar"]).start()?;
        stop_at(&detour, |counts| counts.up >= 12 * MEBIBYTE)?;
        ensure!(push.is_running()?, "it ended before the API server was away");
        stage.environment.restart("apiserver")?;
        detour.relay.set(Link::default());
        let pushed = push.output()?;
        ensure!(pushed.code == Some(0) && pushed.text() == image.digest(), "{pushed}");
        detour.reposure(stage, &["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)
    })
}
