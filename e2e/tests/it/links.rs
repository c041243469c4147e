//! Links on which a client hears nothing, though nobody has told it that they are gone.

use std::{
    fs::File,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Detour, Stage};
use reposure_testing::{
    RandomImage,
    relay::{Link, Relay},
};

use crate::middle::{MEBIBYTE, assert_pulled};

const CHANNELS: [&str; 3] = ["proxy", "port-forward", "exec"];
/// By when a dead link is found out and what was under way is done: some 40 s for a chunk. With the deadlines of a slow link it would be
/// 158 s, and 30 s more for each connection beside it that was idle, were it used again.
const FOUND_OUT: Duration = Duration::from_secs(90);

/// Runs something for each channel, all at once.
pub(crate) fn each_channel(act: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let acts = CHANNELS.map(|channel| {
            let act = &act;
            scope.spawn(move || act(channel).with_context(|| format!("over {channel}")))
        });
        acts.into_iter().try_for_each(|act| act.join().expect("it ends"))
    })
}

/// A firewall forgets a connection and says nothing; a proxy goes on taking what it cannot pass on.
#[test]
fn a_push_goes_on_when_its_connections_are_dead() -> Result<()> {
    Stage::play("dead", |stage| {
        for (number, die) in [Relay::forget as fn(&Relay), Relay::swallow].into_iter().enumerate() {
            each_channel(|channel| {
                let (name, seed) =
                    (format!("{channel}-{number}:v1"), 800 + 100 * number as u64 + channel.len() as u64);
                let image = RandomImage::new(seed, 2, 32 << 20)?;
                let (archive, pulled) =
                    (format!("{channel}-{number}.tar"), format!("{channel}-{number}-pulled.tar"));
                image.write_oci_archive("v1", File::create(stage.path(&archive))?)?;
                let detour = Detour::start(stage, Link { bandwidth: Some(2 * MEBIBYTE), ..Link::default() })?;
                let args = ["image", "push", "default", &name, &archive, "--channel", channel];
                let mut push = detour.reposure(stage, &args).start()?;
                // The first chunks have been answered by then, eight at once at most, and the last ones are not sent yet.
                let patience = Duration::from_secs(60);
                ensure!(
                    detour.relay.wait_for(patience, |counts| counts.up >= 44 * MEBIBYTE),
                    "too little was sent"
                );
                die(&detour.relay);
                detour.relay.set(Link::default());
                ensure!(push.is_running()?, "it ended before");
                let died = Instant::now();
                let pushed = push.output()?;
                ensure!(pushed.code == Some(0) && pushed.text() == image.digest(), "{pushed}");
                ensure!(died.elapsed() < FOUND_OUT, "it took {:?}", died.elapsed());
                stage.reposure(&["image", "pull", "default", &name, &pulled]).ok()?;
                assert_pulled(stage, &pulled, &image)
            })?;
        }
        Ok(())
    })
}

#[test]
fn a_pull_goes_on_when_its_connections_are_dead() -> Result<()> {
    Stage::play("dead-pull", |stage| {
        let image = RandomImage::new(90, 2, 20 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        stage.reposure(&["image", "push", "default", "big:v1", "big.tar"]).ok()?;
        each_channel(|channel| {
            let detour = Detour::start(stage, Link { bandwidth: Some(2 * MEBIBYTE), ..Link::default() })?;
            let pulled = format!("{channel}.tar");
            let args = ["image", "pull", "default", "big:v1", &pulled, "--channel", channel];
            let mut pull = detour.reposure(stage, &args).start()?;
            let patience = Duration::from_secs(60);
            ensure!(
                detour.relay.wait_for(patience, |counts| counts.down >= 10 * MEBIBYTE),
                "too little came"
            );
            detour.relay.forget();
            detour.relay.set(Link::default());
            ensure!(pull.is_running()?, "it ended before");
            let (died, pulled_by) = (Instant::now(), pull.output()?);
            ensure!(pulled_by.code == Some(0), "{pulled_by}");
            ensure!(died.elapsed() < FOUND_OUT, "it took {:?}", died.elapsed());
            assert_pulled(stage, &pulled, &image)
        })
    })
}
