//! `kubectl reposure`: kubectl starts a plugin by its file name.

use std::{env, ffi::OsString, fs, path::Path};

use crate::TestEnvironment;

const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-reposure");

/// Puts the plugin's folder before whatever kubectl needs of the search path.
fn search_path() -> OsString {
    let paths = env::var_os("PATH").unwrap_or_default();
    let folder = Path::new(PLUGIN).parent().unwrap().to_owned();
    env::join_paths(std::iter::once(folder).chain(env::split_paths(&paths))).unwrap()
}

#[test]
fn kubectl_runs_the_plugin() {
    let environment = TestEnvironment::alone();
    // On a machine without kubectl the program is started as kubectl starts it.
    let mut command = match TestEnvironment::on_path("kubectl") {
        Some(kubectl) => {
            let mut command = environment.command(kubectl);
            command.arg("reposure").env("PATH", search_path());
            command
        }
        None => environment.command(PLUGIN),
    };
    let output = environment.finish(command.arg("version"), b"");
    assert_eq!(
        (output.code, output.text().as_str()),
        (0, concat!(env!("CARGO_PKG_VERSION"), "\n")),
        "{output}"
    );
}

#[test]
fn the_plugin_says_how_it_was_called() {
    let environment = TestEnvironment::alone();
    let output = environment.finish(environment.command(PLUGIN).args(["image", "--help"]), b"");
    assert!(output.text().contains("Usage: kubectl reposure image [OPTIONS] <COMMAND>"), "{output}");
}

#[test]
fn both_programs_say_the_same() {
    let environment = TestEnvironment::alone();
    let plugin = environment.finish(environment.command(PLUGIN).args(["image", "list", "default"]), b"");
    let own = environment.run(&["image", "list", "default"]);
    assert_eq!((plugin.code, plugin.stderr), (own.code, own.stderr));
    assert!(fs::metadata(PLUGIN).unwrap().is_file());
}
