//! `reposure`.

use std::process::ExitCode;

fn main() -> ExitCode {
    reposure_cli::main("reposure")
}
