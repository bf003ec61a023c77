//! The command line: arguments, then one of the commands in `cli`, then the exit status.

mod cli;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

/// Training asks for the same large buffers again and again; the system's allocator gives them back each time.
#[cfg(feature = "train")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match cli::execute(cli::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // Where even this cannot be said, the exit status still says it.
            let _ = writeln!(std::io::stderr(), "sonotap: {}", cli::message(&e));
            ExitCode::FAILURE
        }
    }
}
