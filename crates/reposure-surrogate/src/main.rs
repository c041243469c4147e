//! The program `reposure-surrogate`.

use std::process::ExitCode;

use clap::Parser;
use reposure_surrogate::cli::{Arguments, run};

fn main() -> ExitCode {
    run(Arguments::parse())
}
