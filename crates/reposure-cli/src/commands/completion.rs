//! `reposure completion SHELL`

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{args::Cli, output};

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "reposure", &mut script);
    output::write(&String::from_utf8(script).context("cannot make the script")?)
}
