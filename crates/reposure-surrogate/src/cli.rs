//! The program. Its arguments may come from whoever may `exec` into the pod, so they say little, and nothing that matters: what
//! the surrogate reaches and whom it lets in is in files alone.

use std::{
    fs::File,
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use reposure_parcel::config::Config;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    Surrogate,
    gate::{GateOptions, RegistryGate},
    session,
};

/// Where the configuration is mounted.
const CONFIG_FILE: &str = "/etc/reposure/config.json";
/// The largest configuration, in bytes: what a ConfigMap can hold.
const CONFIG: u64 = 1 << 20;

/// The pod beside a registry that acts for users of Reposure
#[derive(Debug, Parser)]
#[command(name = "reposure-surrogate", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM
    Serve {
        /// The configuration
        #[arg(long, value_name = "PATH", default_value = CONFIG_FILE)]
        config: PathBuf,
        /// How it is logged; by default as text on a terminal, and as JSON elsewhere
        #[arg(long, value_name = "FORMAT")]
        log_format: Option<LogFormat>,
    },
    /// Let a client in through standard input and output
    Session {
        /// The running surrogate's configuration
        #[arg(long, value_name = "PATH", default_value = CONFIG_FILE)]
        config: PathBuf,
    },
    /// Stand before a registry on loopback: end TLS and ask for passwords, until SIGTERM
    Gate(GateOptions),
    /// Print the version
    Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Runs the program and returns its exit code.
pub fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Serve { config, log_format } => serve(&config, log_format),
        Command::Session { config } => join(&config),
        Command::Gate(options) => stand_before(options),
        Command::Version => print_version(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a program's last words")]
fn eprint(error: &anyhow::Error) {
    eprintln!("reposure-surrogate: {error:#}");
}

#[expect(clippy::print_stdout, reason = "the version is what the program is asked for")]
#[expect(clippy::unnecessary_wraps, reason = "one shape for all commands")]
fn print_version() -> anyhow::Result<()> {
    println!("{}", crate::hello::BUILD);
    Ok(())
}

fn serve(path: &Path, log_format: Option<LogFormat>) -> anyhow::Result<()> {
    log(log_format);
    let config = read(path)?;
    on_threads(serve_until_told(config))
}

fn stand_before(options: GateOptions) -> anyhow::Result<()> {
    log(None);
    on_threads(stand_until_told(options))
}

fn log(format: Option<LogFormat>) {
    let is_text = format.map_or_else(|| std::io::stderr().is_terminal(), |format| format == LogFormat::Text);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if is_text {
        logs.with_ansi(std::io::stderr().is_terminal()).init();
    } else {
        logs.json().init();
    }
}

fn on_threads(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(work)
}

/// Joins the surrogate that runs with a configuration.
fn join(path: &Path) -> anyhow::Result<()> {
    let socket = read(path)?.session_socket;
    session::run(&socket.context("the running surrogate lets no sessions in")?)
}

/// Reads the configuration from a file, and from nothing that whoever may `exec` could write to, such as `/dev/stdin`: he would
/// have the mounted credentials sent to a host of his own.
fn read(path: &Path) -> anyhow::Result<Config> {
    let doing = || format!("cannot read the configuration {}", path.display());
    let file = File::open(path).with_context(doing)?;
    anyhow::ensure!(file.metadata().with_context(doing)?.is_file(), "{} is no file", path.display());
    let mut text = Vec::new();
    file.take(CONFIG + 1).read_to_end(&mut text).with_context(doing)?;
    anyhow::ensure!(text.len() as u64 <= CONFIG, "{} is over the limit of {CONFIG} bytes", path.display());
    serde_json::from_slice(&text).map_err(|error| {
        // The error's own text would show what is in the file, which may be a secret: its path comes with the arguments.
        let (line, column) = (error.line(), error.column());
        anyhow::anyhow!("the configuration {} is malformed at line {line}, column {column}", path.display())
    })
}

/// Returns what is done when somebody asks for the end.
fn end() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending");
    })
}

async fn stand_until_told(options: GateOptions) -> anyhow::Result<()> {
    let told = end()?;
    let gate = RegistryGate::start(options).await.context("cannot start")?;
    tracing::info!(address = %gate.address(), health = %gate.health_address(), "standing before the registry");
    told.await;
    gate.stop().await;
    Ok(())
}

async fn serve_until_told(config: Config) -> anyhow::Result<()> {
    let told = end()?;
    let surrogate = Surrogate::start(config).await.context("cannot start")?;
    tracing::info!(address = %surrogate.address(), status = %surrogate.status_address(), "serving");
    told.await;
    surrogate.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        format!("{:#}", read(path).unwrap_err())
    }

    #[test]
    fn arguments_say_little() {
        for arguments in
            [&["x"][..], &["x", "serve", "--upstream", "y"], &["x", "version", "y"], &["x", "sh"]]
        {
            assert!(Arguments::try_parse_from(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn shows_nothing_of_a_file_that_is_no_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for secret in ["hunter2", r#""hunter2""#, r#"{"hunter2":1}"#, r#"{"namespace":{"hunter2":1}}"#] {
            std::fs::write(&path, secret).unwrap();
            let text = refusal(&path);
            assert!(text.contains("malformed at line 1") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn reads_files_alone() {
        assert!(refusal(Path::new("/dev/null")).contains("is no file"));
        assert!(refusal(&std::env::temp_dir()).contains("is no file"));
    }
}
