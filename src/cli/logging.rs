//! The log, on standard error.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use super::failure::Usage;

/// How much is logged.
const VARIABLE: &str = "CODE_IMPORTS_LOG";

/// What lapin meets comes to us as an error too, and is told once an incident by whoever handles it; lapin tells
/// it at every try. Whoever looks for a fault of lapin's says `lapin=debug`, which comes later and so counts.
const QUIET: &str = "lapin=off";

/// What the log looks like.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// How log lines look. CODE_IMPORTS_LOG says what is logged, a filter like `debug` or
    /// `code_imports=debug`: unless it is set, info for `serve` and `worker`, else warn
    #[arg(
        long,
        env = "CODE_IMPORTS_LOG_FORMAT",
        default_value = "text",
        global = true,
        hide_short_help = true
    )]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Begins to log.
pub(super) fn install(args: &LogArgs, default: &str) -> Result<(), Usage> {
    let filter = std::env::var(VARIABLE).ok().filter(|filter| !filter.is_empty());
    let filter = filter.as_deref().unwrap_or(default);
    let directives = EnvFilter::try_new(format!("{QUIET},{filter}"));
    let filter = directives.map_err(|error| {
        Usage(format!("{VARIABLE}: expected a filter like info, not {filter:?} ({error})"))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(super::output::has_colour(&std::io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
