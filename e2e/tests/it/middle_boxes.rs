//! What stands between a client and the API server and looks into HTTP: it takes no large bodies, says yes and no more, or changes bytes.

use std::{fs, fs::File, path::PathBuf};

use anyhow::{Result, ensure};
use reposure_e2e::{Interception, Stage};
use reposure_testing::{
    RandomImage,
    api_server::{Failure, How},
    digest_of,
};

use crate::middle::{MEBIBYTE, assert_pulled};

/// What nginx takes unless it is told otherwise, in bytes.
const LARGEST: u64 = MEBIBYTE;

/// Makes a user with a token, since TLS ends at a middle box, and what it says of a client with it.
fn user(stage: &Stage) -> Result<PathBuf> {
    stage.kubectl(&["create", "serviceaccount", "outside"]).ok()?;
    let account = format!("--serviceaccount={}:outside", stage.namespace);
    stage.kubectl(&["create", "rolebinding", "outside", "--clusterrole=admin", &account]).ok()?;
    stage.kubeconfig_of("outside")
}

#[test]
fn a_middle_box_that_takes_no_large_bodies_gets_small_ones() -> Result<()> {
    Stage::play("small-bodies", |stage| {
        let image = RandomImage::new(60, 2, 9 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        let between = Interception::start_for(stage, &user(stage)?)?;
        between.middle_box.limit_bodies(Some(LARGEST));
        let args = ["image", "push", "default", "big:v1", "big.tar", "--channel=proxy"];
        let pushed = between.reposure(stage, &args).ok()?;
        ensure!(pushed.text() == image.digest(), "{pushed}");
        let passed = between.middle_box.passed();
        ensure!(
            passed.iter().any(|passed| !passed.taken && passed.length > LARGEST),
            "nothing was too large"
        );
        let taken: u64 = passed.iter().filter(|passed| passed.taken).map(|passed| passed.length).sum();
        ensure!(taken >= 18 * MEBIBYTE, "{taken} bytes were taken");
        stage.reposure(&["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)
    })
}

/// An API server says yes before the kubelet has been asked, and what comes then may be nothing.
#[test]
fn a_yes_that_leads_nowhere_is_no_end_of_a_push() -> Result<()> {
    Stage::play("yes-but", |stage| {
        let user = user(stage)?;
        std::thread::scope(|scope| {
            let cases = [("exec", "/exec?", 70), ("port-forward", "/portforward?", 71)];
            let pushes = cases.map(|(channel, path, seed)| {
                let user = &user;
                scope.spawn(move || yes_but(stage, user, channel, path, seed))
            });
            pushes.into_iter().try_for_each(|push| push.join().expect("a push ends"))
        })
    })
}

fn yes_but(stage: &Stage, user: &std::path::Path, channel: &str, path: &str, seed: u64) -> Result<()> {
    let image = RandomImage::new(seed, 2, 12 << 20)?;
    let (archive, pulled) = (format!("{channel}.tar"), format!("{channel}-pulled.tar"));
    image.write_oci_archive("v1", File::create(stage.path(&archive))?)?;
    let between = Interception::start_for(stage, user)?;
    // The first one lets a client in, and ends behind what is said at first.
    for how in [How::CutWithin(2000), How::CutAfter, How::CutAfter, How::Mute] {
        between.middle_box.fail(Failure::next(path, how));
    }
    let name = format!("{channel}:v1");
    let pushed =
        between.reposure(stage, &["image", "push", "default", &name, &archive, "--channel", channel]).ok()?;
    ensure!(pushed.text() == image.digest(), "{pushed}");
    ensure!(between.middle_box.heal() == 0, "{channel}: not all has failed that was to");
    stage.reposure(&["image", "pull", "default", &name, &pulled]).ok()?;
    assert_pulled(stage, &pulled, &image)
}

#[test]
fn bytes_that_a_middle_box_changes_are_found_out() -> Result<()> {
    Stage::play("changed-bytes", |stage| {
        let image = RandomImage::new(61, 1, 9 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        let between = Interception::start_for(stage, &user(stage)?)?;
        let change = |path: &str| {
            between.middle_box.fail(Failure::next(path, How::Flip(1000)));
        };
        let push = ["image", "push", "default", "big:v1", "big.tar", "--channel=proxy"];
        // The second chunk.
        change("/4194304");
        let pushed = between.reposure(stage, &push).output()?;
        ensure!(between.middle_box.heal() == 0, "nothing was changed: {pushed}");
        ensure!(pushed.code == Some(6) && pushed.stderr.contains("sha256:"), "{pushed}");
        let listed = stage.reposure(&["image", "list", "default"]).ok()?;
        ensure!(listed.text().is_empty(), "a tag is left: {listed}");
        let pushed = between.reposure(stage, &push).ok()?;
        ensure!(pushed.text() == image.digest(), "{pushed}");

        let layer = image.layers()[0].gzip.clone();
        change(&format!("/blobs/{}", digest_of(&layer)));
        let pull = ["image", "pull", "default", "big:v1", "pulled.tar", "--channel=proxy"];
        let pulled = between.reposure(stage, &pull).output()?;
        ensure!(between.middle_box.heal() == 0, "nothing was changed: {pulled}");
        ensure!(pulled.code == Some(6) && pulled.stderr.contains("sha256:"), "{pulled}");
        ensure!(!fs::exists(stage.path("pulled.tar"))?, "it has its name");
        between.reposure(stage, &pull).ok()?;
        assert_pulled(stage, "pulled.tar", &image)
    })
}
