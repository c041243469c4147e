//! From the command line to an exit code.

use std::{io, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, FromArgMatches as _};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    args::{Cli, Command, GlobalArgs},
    commands,
    context::Context,
    exit,
    output::Closed,
};

/// Parses the command line, runs the command, and returns its exit code.
pub fn main(program: &'static str) -> ExitCode {
    let matches = Cli::command().bin_name(program).get_matches();
    match Cli::from_arg_matches(&matches) {
        Ok(Cli { global, command }) => {
            let context = Context::new(global);
            let done = run(&context, command);
            finish(&done, context.api_server())
        }
        Err(error) => error.exit(),
    }
}

fn run(context: &Context, command: Command) -> Result<()> {
    init_log(&context.global)?;
    // The provider of a process, for kube; a second call, which there is none of, would do no harm.
    let _ = reposure_oci::cryptography::provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .context("cannot start")?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = commands::run(context, command) => done,
            interrupted = interrupted() => {
                interrupted.context("cannot wait for an interrupt")?;
                Err(exit::interrupted())
            }
        }
    });
    // A thread that still compresses for a push that was interrupted is not waited for.
    runtime.shutdown_background();
    done
}

/// How many threads wait for the network and do the TLS: half of the cores, since hashing, compressing and files have threads of
/// their own. With one on two cores a push or a pull costs 6 % less than with two, which wake each other; four are faster than
/// any API server.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).clamp(1, 4)
}

/// Waits for Ctrl-C, or for a polite request to end: temporary files are removed on the way out.
async fn interrupted() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn finish(result: &Result<()>, api_server: Option<&str>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has seen enough: `reposure image list | head`.
        Err(error) if error.is::<Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            exit::report(error, api_server);
            ExitCode::from(exit::kind(error).code())
        }
    }
}

/// Sends the log to standard error, or to the file of `--log`: nothing but warnings unless asked.
fn init_log(global: &GlobalArgs) -> Result<()> {
    use tracing_subscriber::{EnvFilter, fmt};
    let level = match global.verbose {
        0 => "error",
        1 => "reposure=info,warn",
        2 => "reposure=debug,info",
        _ => "debug",
    };
    let log = fmt().with_env_filter(EnvFilter::new(level)).with_target(false);
    if let Some(path) = &global.log {
        let file = std::fs::File::create(path)
            .with_context(|| format!("cannot write the log {}", path.display()))?;
        log.with_ansi(false).with_writer(file).init();
    } else {
        log.with_writer(io::stderr).init();
    }
    Ok(())
}
