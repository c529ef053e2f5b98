//! The command line: what may be typed, and where it goes. Results go to standard output, everything else to standard error.

pub mod commands;
mod console;
mod context;
mod exit;
mod follow;
mod input;
mod output;
mod progress;
mod render;
mod resolve;
#[cfg(test)]
mod tests;
mod usage;
mod values;

use clap::{Args, Parser, Subcommand};

pub use commands::CommandError;
pub use console::Console;
pub use exit::Exit;
pub use follow::{Follow, Followed, follow};
pub use output::{Format, Style};
pub use progress::{Progress, for_console as progress_for};
pub use render::workflow::describe;
pub use usage::parse;

use crate::client::Client;
use crate::retry::Patience;
use commands as c;

/// Builds and watches over hybrid clusters, through a causewayd daemon.
#[derive(Debug, Parser)]
#[command(name = "causeway", version, propagate_version = false, after_long_help = usage::HELP)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The daemon: https://HOST:PORT, or http://HOST:PORT [default: the context's, else http://127.0.0.1:7443]
    #[arg(
        long,
        global = true,
        env = "CAUSEWAY_ADDRESS",
        value_name = "URL",
        help_heading = "Everywhere"
    )]
    pub address: Option<String>,
    /// A context of the contexts file
    #[arg(
        long,
        global = true,
        env = "CAUSEWAY_CONTEXT",
        value_name = "NAME",
        help_heading = "Everywhere"
    )]
    pub context: Option<String>,
    /// How results are printed: table, wide, json, jsonl, yaml, or name
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "FORMAT",
        help_heading = "Everywhere"
    )]
    pub output: Format,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a commented input file
    Example(c::example::Arguments),
    /// Check an input file without a daemon
    Validate(c::validate::Arguments),
    /// The verbs of `workflows`, as lasting shortcuts.
    #[command(flatten)]
    Shortcut(Verb),
    /// Start, follow and steer workflows
    #[command(subcommand, visible_alias = "workflow")]
    Workflows(Verb),
    /// The records of what was built
    #[command(subcommand, visible_alias = "cluster")]
    Clusters(c::clusters::Verb),
    /// Take a cluster down: undo what its build did
    Teardown(c::teardown::Arguments),
    /// The cloud accounts that the daemon may work in
    #[command(visible_alias = "connection")]
    Connections(c::connections::Arguments),
    /// The daemon itself
    #[command(subcommand)]
    Server(c::server::Verb),
    /// Who the daemon takes you for, and what you may do
    Whoami,
    /// What a code, state or class means, and what to do about it
    Explain(c::explain::Arguments),
    /// Print a completion script for a shell
    Completion(c::completion::Arguments),
    /// Write the manual's pages
    Man(c::manual::Arguments),
    /// The version of this program, and of the daemon if there is one
    Version,
}

/// What can be done with workflows.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Find out what a start would do, and change nothing
    Plan(c::plan::Arguments),
    /// Start what an input file describes
    Start(c::start::Arguments),
    /// One workflow
    Get(c::Named),
    /// One workflow in full: what failed, what is left, what to type next
    Describe(c::Named),
    /// Workflows, newest first
    List(c::list::Arguments),
    /// Follow a workflow until it ends or needs a person
    Watch(c::watch::Arguments),
    /// Everything that happened in a workflow
    History(c::history::Arguments),
    /// What waits for a person, why, and what to type next
    Stuck(c::stuck::Arguments),
    /// Turn a workflow to its undo
    Cancel(c::steer::Grave),
    /// End a workflow with whatever it left in the world
    Abandon(c::steer::Grave),
    /// Stop a workflow at its next safe point
    Pause(c::steer::Arguments),
    /// Let a paused workflow go on
    Resume(c::steer::Arguments),
    /// Try what waits, is held or is stuck now
    Retry(c::steer::Arguments),
    /// Pass over a step, after a look at the world
    Skip(c::decide::Arguments),
    /// Open a gate
    Approve(c::decide::Arguments),
    /// Close a gate: everything that was done is undone
    Deny(c::decide::Arguments),
    /// Remove an ended workflow and its history
    Delete(c::steer::Delete),
}

/// What a command has to work with.
#[derive(Debug)]
pub(crate) struct Session<'c> {
    /// Where it prints.
    console: &'c mut Console,
    /// How results are printed.
    format: Format,
    /// The daemon and the context.
    context: context::Context,
}

impl Session<'_> {
    /// The client; connects at its first call.
    fn client(&self) -> Result<Client, CommandError> {
        Ok(Client::new(&self.context.options()?)?.with_patience(Patience::SHORT))
    }
}

/// Runs a command, and says how it went: by the exit code, and by a message if it failed.
pub async fn run(cli: Cli, console: &mut Console) -> Exit {
    let outcome = match context::Context::load(&cli.global) {
        Ok(context) => {
            let mut session = Session { console, format: cli.global.output, context };
            Box::pin(dispatch(cli.command, &mut session)).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(exit) => exit,
        // Somebody closed the pipe, as `| head` does: there is nobody to tell.
        Err(CommandError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Exit::Done
        }
        Err(error) => {
            console.say(&usage::clipped(&format!("error: {error}")));
            if let Some(hint) = error.hint() {
                console.say(&hint);
            }
            exit::of_error(&error)
        }
    }
}

async fn dispatch(command: Command, session: &mut Session<'_>) -> Result<Exit, CommandError> {
    match command {
        Command::Example(arguments) => c::example::run(session, &arguments),
        Command::Validate(arguments) => c::validate::run(session, &arguments),
        Command::Shortcut(verb) | Command::Workflows(verb) => workflows(verb, session).await,
        Command::Clusters(verb) => c::clusters::run(session, verb).await,
        Command::Teardown(arguments) => c::teardown::run(session, &arguments).await,
        Command::Connections(_) => c::connections::run(session).await,
        Command::Server(verb) => c::server::run(session, verb).await,
        Command::Whoami => c::whoami::run(session).await,
        Command::Explain(arguments) => c::explain::run(session, &arguments),
        Command::Man(arguments) => c::manual::run(session, &arguments),
        Command::Completion(arguments) => c::completion::run(session, &arguments),
        Command::Version => c::version::run(session).await,
    }
}

async fn workflows(verb: Verb, session: &mut Session<'_>) -> Result<Exit, CommandError> {
    match verb {
        Verb::Plan(arguments) => c::plan::run(session, &arguments).await,
        Verb::Start(arguments) => c::start::run(session, arguments).await,
        Verb::Get(named) => c::get::run(session, &named).await,
        Verb::Describe(named) => c::describe::run(session, &named).await,
        Verb::List(arguments) => c::list::run(session, arguments).await,
        Verb::Watch(arguments) => c::watch::run(session, &arguments).await,
        Verb::History(arguments) => c::history::run(session, &arguments).await,
        Verb::Stuck(arguments) => c::stuck::run(session, &arguments).await,
        Verb::Cancel(arguments) => c::steer::cancel(session, &arguments).await,
        Verb::Abandon(arguments) => c::steer::abandon(session, &arguments).await,
        Verb::Pause(arguments) => c::steer::pause(session, &arguments).await,
        Verb::Resume(arguments) => c::steer::resume(session, &arguments).await,
        Verb::Retry(arguments) => c::steer::retry(session, &arguments).await,
        Verb::Skip(arguments) => c::decide::skip(session, &arguments).await,
        Verb::Approve(arguments) => c::decide::approve(session, &arguments).await,
        Verb::Deny(arguments) => c::decide::deny(session, &arguments).await,
        Verb::Delete(arguments) => c::steer::delete(session, &arguments).await,
    }
}
