//! What kills other tools: links that are cut, clients that are killed, registries and surrogates that go away in the middle.

use std::{env, fs, fs::File, ops::Range, str::FromStr, thread::sleep, time::Duration};

use anyhow::{Result, ensure};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use reposure_e2e::{Detour, Output, Running, Stage};
use reposure_testing::{
    RandomImage,
    relay::{Cuts, Link},
};

use crate::middle::{MEBIBYTE, assert_pulled, stand_still, stop_at};

/// How many cuts are made where the variable `REPOSURE_E2E_CUTS` does not say it; `make soak` makes 200.
const CUTS: u64 = 20;
/// After how many bytes each connection is cut. What a command asks before it pushes or pulls is not tried again, and takes less;
/// a chunk of 4 MiB gets through now and then, and smaller ones in place of it.
const CUT_AFTER: Range<u64> = 64 << 10..5 * MEBIBYTE;
/// What a client has in flight at most, by the design: a cut costs no more.
const IN_FLIGHT: u64 = 32 * MEBIBYTE;
/// What requests and answers take beside the bytes of blobs, at most.
const OVERHEAD: u64 = MEBIBYTE;
const SURROGATE: &str = "reposure-surrogate-default-0";
const REGISTRY: &str = "deployment/reposure-simple";

#[test]
fn random_cuts_lose_nothing() -> Result<()> {
    let cuts = variable("REPOSURE_E2E_CUTS").unwrap_or(CUTS);
    let seed: u64 = variable("REPOSURE_SEED").unwrap_or_else(rand::random);
    // What a failed test shows.
    eprintln!("REPOSURE_SEED={seed}");
    Stage::play("cuts", |stage| {
        let cut = Some(Cuts { after: CUT_AFTER, seed });
        let detour = Detour::start(stage, Link { cuts: cut, ..Link::default() })?;
        let mut random = StdRng::seed_from_u64(seed);
        let mut number = 0;
        while detour.relay.counts().cuts < cuts {
            there_and_back(stage, &detour, &mut random, &format!("app{number}:v1"))?;
            number += 1;
        }
        eprintln!("{number} images, {:?}", detour.relay.counts());
        Ok(())
    })
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Pushes an image and pulls it back, over one of the channels.
fn there_and_back(stage: &Stage, detour: &Detour, random: &mut StdRng, name: &str) -> Result<()> {
    // In one request each, or in some chunks.
    let largest = [4 << 20, 4 << 20, 20 << 20].choose(random).copied().unwrap_or_default();
    let sizes: Vec<usize> = (0..random.random_range(1..4)).map(|_| random.random_range(0..largest)).collect();
    let image = RandomImage::of_sizes(random.random(), &sizes)?;
    image.write_oci_archive("v1", File::create(stage.path("pushed.tar"))?)?;
    let channel = ["auto", "port-forward", "exec"].choose(random).copied().unwrap_or_default();
    let args = |verb, file| ["image", verb, "default", name, file, "--channel", channel];
    let pushed = detour.reposure(stage, &args("push", "pushed.tar")).ok()?;
    ensure!(pushed.text() == image.digest(), "{pushed}");
    detour.reposure(stage, &args("pull", "pulled.tar")).ok()?;
    assert_pulled(stage, "pulled.tar", &image)
}

#[test]
fn a_killed_push_is_resumed_by_a_new_client() -> Result<()> {
    Stage::play("killed-client", |stage| {
        let image = RandomImage::new(5, 1, 64 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        let detour = Detour::start(stage, Link { bandwidth: Some(8 * MEBIBYTE), ..Link::default() })?;
        let args = ["image", "push", "default", "big:v1", "big.tar"];
        let push = detour.reposure(stage, &args).start()?;
        stand_still(&detour, |counts| counts.up >= 56 * MEBIBYTE)?;
        let killed = push.kill()?;
        ensure!(killed.code.is_none(), "it ended before: {killed}");
        let sent = detour.relay.counts().up;
        // With all that the first client has left in it.
        drop(detour);
        let detour = Detour::start(stage, Link::default())?;
        let pushed = detour.reposure(stage, &args).ok()?;
        ensure!(pushed.text() == image.digest(), "{pushed}");
        let again = detour.relay.counts().up;
        let most = 64 * MEBIBYTE - 56 * MEBIBYTE + IN_FLIGHT + OVERHEAD;
        ensure!(again <= most, "{again} bytes were sent after {sent}, and {most} should do");
        stage.reposure(&["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)
    })
}

#[test]
fn a_killed_pull_is_resumed_by_a_new_client() -> Result<()> {
    Stage::play("killed-pull", |stage| {
        let image = RandomImage::new(9, 1, 64 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        stage.reposure(&["image", "push", "default", "big:v1", "big.tar"]).ok()?;
        let detour = Detour::start(stage, Link { bandwidth: Some(8 * MEBIBYTE), ..Link::default() })?;
        let args = ["image", "pull", "default", "big:v1", "pulled.tar"];
        let pull = detour.reposure(stage, &args).start()?;
        stand_still(&detour, |counts| counts.down >= 48 * MEBIBYTE)?;
        // What has come is written meanwhile.
        sleep(Duration::from_millis(300));
        let killed = pull.kill()?;
        ensure!(killed.code.is_none() && !fs::exists(stage.path("pulled.tar"))?, "it ended before: {killed}");
        drop(detour);
        let detour = Detour::start(stage, Link::default())?;
        detour.reposure(stage, &args).ok()?;
        let again = detour.relay.counts().down;
        // Of each range, what was on its way, and what was not enough to be written.
        let most = 64 * MEBIBYTE - 48 * MEBIBYTE + 8 * MEBIBYTE + OVERHEAD;
        ensure!(again <= most, "{again} bytes came, and {most} should do");
        let left =
            fs::read_dir(stage.path("."))?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let left: Vec<_> = left.filter(|name| name.starts_with('.')).collect();
        ensure!(left.is_empty(), "{left:?} is left");
        assert_pulled(stage, "pulled.tar", &image)
    })
}

#[test]
fn a_push_goes_on_when_its_surrogate_is_lost() -> Result<()> {
    Stage::play("push-surrogate", |stage| {
        let image = RandomImage::new(7, 1, 96 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        let detour = Detour::start(stage, Link { bandwidth: Some(4 * MEBIBYTE), ..Link::default() })?;
        let mut push = detour.reposure(stage, &["image", "push", "default", "big:v1", "big.tar"]).start()?;
        stop_at(&detour, |counts| counts.up >= 80 * MEBIBYTE)?;
        stage.kubectl(&["delete", "pod", SURROGATE, "--grace-period=1"]).ok()?;
        ensure!(push.is_running()?, "it ended before its surrogate was away");
        let sent = detour.relay.counts().up;
        detour.relay.set(Link::default());
        let pushed = push.output()?;
        ensure!(pushed.text() == image.digest(), "{pushed}");
        // The registry has what has reached it; the rest was on its way, and tried again while nobody was there to take it.
        let again = detour.relay.counts().up - sent;
        let total = image.blobs().iter().fold(0, |total, blob| total + blob.len() as u64);
        let most = total.saturating_sub(sent) + 2 * IN_FLIGHT + OVERHEAD;
        ensure!(most < total && again <= most, "{again} bytes were sent after {sent}, and {most} should do");
        stage.reposure(&["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)
    })
}

/// One ends what the surrogate still waits for, and one takes longer than that.
#[test]
fn pushes_end_or_go_on_when_their_surrogate_is_told_to_end() -> Result<()> {
    Stage::play("told-to-end", |stage| {
        let begun = |name, seed, bandwidth| {
            let upload =
                Upload::start(stage, name, seed, Link { bandwidth: Some(bandwidth), ..Link::default() })?;
            stop_at(&upload.detour, |counts| counts.up >= 40 * MEBIBYTE)?;
            anyhow::Ok(upload)
        };
        // The quick one last: a client takes a link for dead on which nothing arrives for half a minute.
        let slow = begun("slow", 9, MEBIBYTE)?;
        let quick = begun("quick", 8, 4 * MEBIBYTE)?;
        let uid = ["get", "pod", SURROGATE, "-o", "jsonpath={.metadata.uid}", "--ignore-not-found"];
        let first = stage.kubectl(&uid).ok()?.text();
        // With the time that it asks for itself.
        stage.kubectl(&["delete", "pod", SURROGATE, "--wait=false"]).ok()?;
        let sent = quick.detour.relay.counts().up;
        quick.detour.relay.set(Link::default());
        stage.until("the quick one is sent", || Ok(quick.detour.relay.counts().up >= LAYER as u64))?;
        ensure!(stage.kubectl(&uid).ok()?.text() == first, "the surrogate has not waited");
        let again = quick.end(stage)?;
        // What was on its way on connections that the surrogate closed comes again, and not all of it.
        let most = again.total.saturating_sub(sent) + CLOSED + OVERHEAD;
        ensure!(
            most < again.total && again.sent - sent <= most,
            "{} bytes were sent after {sent}, and {most} should do",
            again.sent - sent
        );

        stage.until("another surrogate", || {
            let now = stage.kubectl(&uid).ok()?.text();
            Ok(!now.is_empty() && now != first)
        })?;
        slow.detour.relay.set(Link::default());
        slow.end(stage).map(drop)
    })
}

/// What may be on connections that a surrogate closes when it ends: four chunks.
const CLOSED: u64 = 16 * MEBIBYTE;
/// What of an image takes its time, in bytes.
const LAYER: usize = 64 << 20;

/// A push that is under way.
struct Upload {
    image: RandomImage,
    name: String,
    detour: Detour,
    push: Running,
}

/// What a push has sent.
struct Sent {
    sent: u64,
    total: u64,
}

impl Upload {
    fn start(stage: &Stage, name: &str, seed: u64, link: Link) -> Result<Self> {
        let image = RandomImage::new(seed, 1, LAYER)?;
        image.write_oci_archive("v1", File::create(stage.path(&format!("{name}.tar")))?)?;
        let detour = Detour::start(stage, link)?;
        let args = ["image", "push", "default", &format!("{name}:v1"), &format!("{name}.tar")];
        let push = detour.reposure(stage, &args).start()?;
        Ok(Self { image, name: name.into(), detour, push })
    }

    /// Waits for the end, and looks at what was pushed.
    fn end(self, stage: &Stage) -> Result<Sent> {
        let Self { image, name, detour, push } = self;
        let pushed = push.output()?;
        ensure!(pushed.text() == image.digest(), "{pushed}");
        let sent = detour.relay.counts().up;
        let (pulled, total) =
            (format!("{name}-pulled.tar"), image.blobs().iter().map(|blob| blob.len() as u64).sum());
        stage.reposure(&["image", "pull", "default", &format!("{name}:v1"), &pulled]).ok()?;
        assert_pulled(stage, &pulled, &image)?;
        Ok(Sent { sent, total })
    }
}

/// What a registry on a volume has taken is there when it comes back; what it had begun to take may have to come again.
#[test]
fn a_push_outlives_its_registry() -> Result<()> {
    Stage::play_bare("stopped-registry", |stage| {
        stage.install_operator()?;
        stage.reposure(&["simple", "install", "--size=1Gi", "--wait", "--timeout=2m"]).ok()?;
        let create = ["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"];
        stage.reposure(&create).ok()?;
        let (image, pushed) = push_without_registry(stage, 6)?;
        ensure!(pushed.code == Some(0) && pushed.text() == image.digest(), "{pushed}");
        stage.reposure(&["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)
    })
}

/// One that keeps nothing has lost what the push took for stored.
#[test]
fn a_push_to_a_registry_that_lost_everything_is_no_false_success() -> Result<()> {
    Stage::play("emptied-registry", |stage| {
        let (image, pushed) = push_without_registry(stage, 16)?;
        stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=120s"]).ok()?;
        ensure!(pushed.code == Some(0) && pushed.text() == image.digest(), "{pushed}");
        stage.reposure(&["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)
    })
}

/// Pushes an image, and takes the registry away in the middle of it for a while.
fn push_without_registry(stage: &Stage, seed: u64) -> Result<(RandomImage, Output)> {
    let image = RandomImage::new(seed, 3, 16 << 20)?;
    image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
    let detour = Detour::start(stage, Link { bandwidth: Some(4 * MEBIBYTE), ..Link::default() })?;
    let mut push = detour.reposure(stage, &["image", "push", "default", "big:v1", "big.tar"]).start()?;
    stop_at(&detour, |counts| counts.up >= 12 * MEBIBYTE)?;
    stage.kubectl(&["scale", REGISTRY, "--replicas=0"]).ok()?;
    let pods = ["wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=reposure-simple"];
    stage.kubectl(&pods).args(["--timeout=60s"]).ok()?;
    ensure!(push.is_running()?, "it ended before its registry was away");
    detour.relay.set(Link::default());
    stage.kubectl(&["scale", REGISTRY, "--replicas=1"]).ok()?;
    Ok((image, push.output()?))
}

#[test]
fn a_pull_survives_the_loss_of_the_surrogate() -> Result<()> {
    Stage::play("pull-surrogate", |stage| {
        let content = reposure_e2e::random_bytes(32 << 20);
        fs::write(stage.path("file"), &content)?;
        stage.reposure(&["image", "push", "default", "file:v1", "file"]).ok()?;
        let detour = Detour::start(stage, Link { bandwidth: Some(4 * MEBIBYTE), ..Link::default() })?;
        let args = ["image", "pull", "default", "file:v1", "pulled", "--unpack"];
        let mut pull = detour.reposure(stage, &args).start()?;
        stop_at(&detour, |counts| counts.down >= 10 * MEBIBYTE)?;
        stage.kubectl(&["delete", "pod", SURROGATE, "--grace-period=1"]).ok()?;
        ensure!(pull.is_running()?, "it ended before its surrogate was away");
        detour.relay.set(Link::default());
        let pulled = pull.output()?;
        ensure!(pulled.code == Some(0), "{pulled}");
        ensure!(fs::read(stage.path("pulled"))? == content, "other bytes");
        Ok(())
    })
}
