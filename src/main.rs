//! The command line.

use std::process::ExitCode;

use clap::Parser;
use code_imports::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Two of our crates bring a TLS provider of their own; this one counts for both.
    let provider = rustls::crypto::ring::default_provider().install_default();
    assert!(provider.is_ok(), "nobody else installs a TLS provider");
    cli::exit_code(cli::main(cli))
}
