//! `kubectl reposure`: kubectl starts a plugin by its file name.

use std::process::ExitCode;

fn main() -> ExitCode {
    reposure_cli::main("kubectl reposure")
}
