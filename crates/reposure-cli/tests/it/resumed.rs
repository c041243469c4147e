//! Pulls that are killed in the middle, and those that go on with what is left of them.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use reposure_testing::relay::{Counts, Link, Relay};

use crate::{TestEnvironment, environment::Output};

const MEBIBYTE: u64 = 1 << 20;
/// The size of the file that is pulled.
const SIZE: usize = 32 << 20;
/// When the pull is stopped, in bytes that have come.
const STOP: u64 = 20 * MEBIBYTE;
/// What has come and is not written yet, at most: a MiB of each range, and what is on its way; with what is asked before.
const LOST: u64 = 8 * MEBIBYTE;
/// By when something has come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a pull can go to, and what of it is looked at in the end.
const TARGETS: [(&[&str], &str); 3] =
    [(&["out.tar"], "out.tar"), (&["oci:layout"], "layout"), (&["out.bin", "--unpack"], "out.bin")];

struct Scene {
    environment: TestEnvironment,
}

impl Scene {
    /// Pushes a file that no compression makes smaller.
    fn new() -> Self {
        let environment = TestEnvironment::new();
        let mut state = 7_u64;
        let mut random = || {
            // An xorshift generator: any 8 bytes do that do not repeat.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let bytes: Vec<u8> = std::iter::repeat_with(&mut random).take(SIZE / 8).flatten().collect();
        environment.write("data.bin", bytes);
        environment.ok(&["image", "push", "default", "data", "data.bin"]);
        Self { environment }
    }

    fn relay(&self, link: Link) -> Relay {
        Relay::start(self.environment.surrogate(), link).unwrap()
    }

    fn pull(&self, relay: &Relay, target: &[&str]) -> Command {
        let mut command = self.environment.reposure();
        command.env("REPOSURE_SURROGATE", relay.address().to_string());
        command.args(["image", "pull", "default", "data"]).args(target);
        command
    }

    /// Starts a pull, and returns it where it stands still in the middle.
    fn in_the_middle(&self, target: &[&str]) -> (Child, Relay) {
        let relay = self.relay(Link { bandwidth: Some(4 * MEBIBYTE), ..Link::default() });
        let mut command = self.pull(&relay, target);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert!(relay.wait_for(PATIENCE, |counts| counts.down >= STOP), "{:?}", relay.counts());
        relay.set(Link { blackhole: true, ..Link::default() });
        // What has come is written meanwhile.
        sleep(Duration::from_millis(300));
        (child, relay)
    }

    /// Kills a pull in the middle, so that it cannot tidy up.
    fn killed(&self, target: &[&str]) {
        let (mut child, _relay) = self.in_the_middle(target);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "it ended before");
    }

    /// Pulls to the end, and returns what went through a relay.
    fn again(&self, target: &[&str]) -> (Output, Counts) {
        let relay = self.relay(Link::default());
        let output = self.environment.finish(&mut self.pull(&relay, target), b"");
        (output, relay.counts())
    }

    /// Returns where there is something that another pull could go on with.
    fn partials(&self) -> Vec<PathBuf> {
        let folders = ["", "layout/blobs/sha256"].map(|folder| self.environment.path(folder));
        let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let is_partial = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "reposure");
        entries.map(|entry| entry.path()).filter(is_partial).collect()
    }

    /// Sees to it that what is at `path` is what an undisturbed pull gives, and that nothing else is there.
    fn assert_whole(&self, target: &[&str], path: &str) {
        let path = self.environment.path(path);
        let kept = self.environment.path("kept");
        fs::rename(&path, &kept).unwrap();
        let left = self.environment.files();
        assert_eq!(left, ["data.bin", "kept"]);
        assert_eq!(self.again(target).0.code, 0);
        let compared = Command::new("diff").arg("-r").args([&path, &kept]).output().unwrap();
        assert!(compared.status.success(), "{compared:?}");
        for path in [path, kept] {
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
    }
}

#[test]
fn a_killed_pull_is_resumed_by_a_new_process() {
    let scene = Scene::new();
    for (target, path) in TARGETS {
        scene.killed(target);
        let (output, counts) = scene.again(target);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{target:?}");
        let most = SIZE as u64 - STOP + LOST;
        assert!(counts.down <= most, "{target:?}: {} bytes came again, and {most} should do", counts.down);
        scene.assert_whole(target, path);
    }
}

/// What a machine that lost its power has left is not what it says.
#[test]
fn what_a_killed_pull_left_is_verified() {
    let scene = Scene::new();
    for (target, path) in TARGETS {
        scene.killed(target);
        let partials = scene.partials();
        assert_eq!(partials.len(), 1, "{partials:?}");
        for partial in partials {
            let file = File::options().read(true).write(true).open(partial).unwrap();
            // In the middle of what comes first.
            file.write_all_at(&[0; 4096], MEBIBYTE).unwrap();
        }
        let (output, counts) = scene.again(target);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{target:?}");
        assert!(counts.down >= SIZE as u64, "{target:?}: {counts:?}");
        scene.assert_whole(target, path);
    }
}

#[test]
fn an_interrupted_pull_leaves_nothing() {
    let scene = Scene::new();
    for (target, _) in TARGETS {
        let (mut child, _relay) = scene.in_the_middle(target);
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        assert_ne!(child.wait().unwrap().code(), Some(0));
        assert_eq!(scene.partials(), Vec::<PathBuf>::new(), "{target:?}");
        // Blobs of a layout that are whole may stay.
        let left: Vec<_> = scene.environment.files().into_iter().filter(|name| name != "layout").collect();
        assert_eq!(left, ["data.bin"], "{target:?}");
    }
}

/// Two at once do not write into each other's file.
#[test]
fn a_second_pull_beside_the_first_has_a_file_of_its_own() {
    let scene = Scene::new();
    for (target, path) in TARGETS {
        let (mut first, relay) = scene.in_the_middle(target);
        let (output, counts) = scene.again(target);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{target:?}");
        assert!(counts.down >= SIZE as u64, "{target:?}: {counts:?}");
        relay.set(Link::default());
        assert!(first.wait().unwrap().success(), "{target:?}");
        scene.assert_whole(target, path);
    }
}
