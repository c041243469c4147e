//! A registry in memory, for demonstrations and tests by hand: `reposure-memory-registry --listen 127.0.0.1:5000`.

use std::{net::SocketAddr, process::ExitCode};

use reposure_testing::{MemoryRegistry, Options};

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program, not a library")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("reposure-memory-registry: {problem}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the address is what the program is asked for")]
async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let registry = MemoryRegistry::start(Options { listen: listen()?, ..Options::default() }).await?;
    println!("{}", registry.host());
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn listen() -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, address] if flag == "--listen" => Ok(address.parse()?),
        _ => Err("usage: reposure-memory-registry --listen ADDRESS:PORT".into()),
    }
}
