//! The command line: one file per subcommand (`completions` holds two), those that need a host in `on_host`.
//!
//! Contract: exit codes 0 done, 1 alerts at or above `--fail-on`, exceptions of `verify` or differences of `baseline diff`, 2 usage,
//! 3 configuration, 4 runtime or permission, 5 `verify` cannot say. Results go to standard output, everything else to standard error.

mod audit;
mod baseline;
mod captures;
mod completions;
mod config;
mod evidence;
mod exception_uses;
mod exceptions;
mod filter;
mod flows;
mod host_args;
mod init;
mod learn_from;
mod local;
mod observe;
#[cfg_attr(not(feature = "live"), path = "cli/files_only.rs")]
mod on_host;
mod outbox_args;
mod paths;
mod recordings;
mod replay;
mod rules;
mod sweep;
mod tree_printer;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::app::baseline::BaselineError;
use crate::app::logging::{BufferedLog, Log, LogFormat};
use crate::app::memory;
use crate::escape::printable;
use crate::layout::{error_columns, hang};

/// Did this container's traffic pass the hops it was supposed to pass?
#[derive(Debug, Parser)]
#[command(name = "hopwatch", version, max_term_width = 100, arg_required_else_help = true, after_help = format!("{}\n\n{EXIT_CODES}", on_host::EXAMPLES))]
struct Cli {
    /// How to write the log, which goes to standard error
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text", hide_default_value = true)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 alerts at or above --fail-on (verify: exceptions; baseline diff: differences; paths: blind spots), 2 usage, 3 configuration, 4 runtime or permission, 5 unknown (verify).";

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Host(on_host::HostCommand),
    Init(init::Args),
    Observe(observe::Args),
    Replay(replay::Args),
    Flows(flows::Args),
    Verify(verify::Args),
    Paths(paths::Args),
    Audit(audit::Args),
    /// Learn, show, compare and approve what the services of this host are expected to be set up like
    #[command(subcommand)]
    Baseline(baseline::BaselineCommand),
    /// List, show, verify or copy what was kept from before alerts
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// List exceptions, try them on a recording, write one that allows an alert, or take out those that expired
    #[command(subcommand)]
    Exceptions(exceptions::ExceptionsCommand),
    Sweep(sweep::Args),
    /// List the detection rules, or explain one
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Completions(completions::CompletionArgs),
    Man(completions::ManArgs),
}

/// How a command ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Done.
    Done,
    /// Alerts at or above `--fail-on`.
    Alerts,
    /// Flows did not pass the hop that `verify` was asked about, a contract has blind spots, or evidence is not what was written.
    Exceptions,
    /// The configuration is wrong; it has been reported.
    BadConfig,
    /// What `verify` was asked cannot be said.
    Unknown,
}

impl Outcome {
    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Alerts | Self::Exceptions => 1,
            Self::BadConfig => 3,
            Self::Unknown => 5,
        }
    }
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    memory::map_large_blocks();
    let cli = Cli::parse();
    let buffered = match &cli.command {
        Command::Host(command) if command.takes_the_terminal() => Some(BufferedLog::default()),
        _ => None,
    };
    let log = match Log::start(cli.log_format, buffered.as_ref()) {
        Ok(log) => log,
        Err(error) => return report(&anyhow::Error::new(error).context("starting the thread for the log")),
    };
    let outcome = match cli.command {
        Command::Host(command) => on_host::run(command, buffered),
        Command::Init(args) => init::run(&args),
        Command::Observe(args) => observe::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Flows(args) => flows::run(args),
        Command::Verify(args) => verify::run(&args),
        Command::Paths(args) => paths::run(args),
        Command::Audit(args) => audit::run(&args),
        Command::Baseline(command) => baseline::run(command),
        Command::Evidence(command) => evidence::run(command),
        Command::Exceptions(command) => exceptions::run(command),
        Command::Sweep(args) => sweep::run(&args),
        Command::Rules(command) => rules::run(&command),
        Command::Config(command) => config::run(command),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
    };
    log.flush();
    match outcome {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(error) => report(&error),
    }
}

/// Prints the chain of an error, on one line where that is no terminal, and says which exit code it is worth.
fn report(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(broken_pipe)) {
        return ExitCode::SUCCESS;
    }
    let in_baseline = |error: &BaselineError| match error {
        BaselineError::Shape(error) => Some(error.clone()),
        _ => None,
    };
    let in_baseline = error.downcast_ref::<BaselineError>().and_then(in_baseline);
    if let Some(error) = in_baseline.as_ref().or_else(|| error.downcast_ref::<crate::config::ConfigError>()) {
        error.print();
        return ExitCode::from(Outcome::BadConfig.code());
    }
    // It may quote a hostile file.
    let text = printable(&format!("{error:#}"));
    anstream::eprintln!("{}", hang("hopwatch: ", "  ", &text, error_columns()));
    ExitCode::from(4)
}

pub use rules::page as rule_page;

fn command() -> clap::Command {
    Cli::command()
}
