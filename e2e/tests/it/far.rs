//! Pushes and pulls over a long way.

use std::{fs::File, time::Duration};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use reposure_e2e::{Detour, Stage};
use reposure_testing::{RandomImage, relay::Link};

use crate::{links::each_channel, middle::assert_pulled};

fn far(milliseconds: u64) -> Link {
    Link { round_trip: Duration::from_millis(milliseconds), ..Link::default() }
}

/// Large layers, small ones, and a second push of which nothing is new.
#[test]
fn what_goes_a_long_way_arrives() -> Result<()> {
    Stage::play("far", |stage| {
        each_channel(|channel| {
            let sizes = [9 << 20, 5 << 20].into_iter().chain((1..=20).map(|size| size * 1000));
            let image = RandomImage::of_sizes(700 + channel.len() as u64, &sizes.collect::<Vec<_>>())?;
            let (name, archive, pulled) =
                (format!("{channel}:v1"), format!("{channel}.tar"), format!("{channel}-pulled.tar"));
            image.write_oci_archive("v1", File::create(stage.path(&archive))?)?;
            let detour = Detour::start(stage, far(60))?;
            let run = |args: &[&str]| detour.reposure(stage, args).args(["--channel", channel]).ok();
            for _ in 0..2 {
                let pushed = run(&["image", "push", "default", &name, &archive])?;
                ensure!(pushed.text() == image.digest(), "{pushed}");
            }
            run(&["image", "pull", "default", &name, &pulled])?;
            assert_pulled(stage, &pulled, &image)
        })
    })
}

/// It is on its way while the blobs are, so that the registry has it long before the client knows that it has them.
#[test]
fn the_manifest_of_a_small_image_is_stored_right_behind_its_blobs() -> Result<()> {
    const ROUND_TRIP: u64 = 800;
    Stage::play("behind", |stage| {
        let mut pauses = Vec::new();
        // A machine that is busy may take its time once.
        for seed in 710..713 {
            let image = RandomImage::new(seed, 5, 100_000)?;
            image.write_oci_archive("v1", File::create(stage.path("small.tar"))?)?;
            let detour = Detour::start(stage, far(ROUND_TRIP))?;
            let name = format!("small-{seed}");
            let push = ["image", "push", "default", &format!("{name}:v1"), "small.tar", "--channel=proxy"];
            let pushed = detour.reposure(stage, &push).ok()?;
            ensure!(pushed.text() == image.digest(), "{pushed}");
            let [blob, manifest] = [format!("/{name}/blobs/uploads/"), format!("/{name}/manifests/")];
            let pause = stored(stage, &manifest)?.as_millisecond() - stored(stage, &blob)?.as_millisecond();
            pauses.push(pause);
            if pause < i64::try_from(ROUND_TRIP)? / 2 {
                return Ok(());
            }
        }
        anyhow::bail!("milliseconds between the last blob and the manifest: {pauses:?}")
    })
}

/// Returns when the registry has stored the last of what was put below `path`.
fn stored(stage: &Stage, path: &str) -> Result<Timestamp> {
    let log = stage.kubectl(&["logs", "deployment/reposure-simple", "--tail=-1"]).ok()?.text();
    let put = |line: &&str| line.contains("http.request.method=PUT") && line.contains(path);
    let line = log.lines().rfind(put).with_context(|| format!("nothing was put to {path}: {log}"))?;
    let (_, time) = line.split_once("time=\"").context("no time")?;
    let (time, _) = time.split_once('"').context("no time")?;
    ensure!(time.contains('.'), "whole seconds say too little: {time}");
    Ok(time.parse()?)
}
