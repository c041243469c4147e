//! The operator of Reposure.

use std::process::ExitCode;

use clap::Parser as _;
use reposure_admin::plan::LogFormat;
use reposure_operator::{Args, log_format, run, tracing_filter};
use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let layer = match log_format(&args) {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(tracing_filter(&args)).with(layer).init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
