//! The command line.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Parser;
use code_imports::cli::{self, Cli};

/// How large the stacks of threads are. lapin reads a table of headers by going down into it, as deep as a sender
/// nested it: a frame of 128 KiB holds some 20,000 levels, and two megabytes of stack end after two thousand. Only
/// what is used of a stack takes memory.
const STACK_BYTES: &str = "67108864";

/// Says it to the standard library, which reads it once, before the first thread.
const STACK_VARIABLE: &str = "RUST_MIN_STACK";

fn main() -> ExitCode {
    // Two of our crates bring a TLS provider of their own; this one counts for both.
    let provider = rustls::crypto::ring::default_provider().install_default();
    assert!(provider.is_ok(), "nobody else installs a TLS provider");
    cli::complete();
    let cli = Cli::parse();
    if let Some(failed) = with_large_stacks() {
        eprintln!("threads have small stacks: {failed}");
    }
    cli::exit_code(cli::main(cli))
}

/// Begins again with large stacks, in the same process; comes back only if that failed, or was done.
fn with_large_stacks() -> Option<std::io::Error> {
    if std::env::var_os(STACK_VARIABLE).is_some() {
        return None;
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return Some(error),
    };
    Some(Command::new(program).args(std::env::args_os().skip(1)).env(STACK_VARIABLE, STACK_BYTES).exec())
}
