//! `rekindle`: argv to exit code. Everything that the rest of the program must not touch (arguments,
//! environment, clock, terminal) is read here or in a module of this crate, and handed over as values.

mod boot;
mod cli;
mod commands;
mod destinations;
mod environment;
mod failure;
mod generation;
mod kit;
mod loaded;
mod node;
mod payload;
mod ready;
mod receive;
mod relying;
mod report;
mod session;
mod ssh_destination;
mod vault;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use environment::Environment;
use failure::{Exit, Failure};
use report::Reporter;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::read();
    let report = Reporter::new(&cli, environment.no_colour);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let end = match runtime {
        Ok(runtime) => {
            let end = runtime.block_on(run(&cli, &environment, &report));
            // A read of a terminal that nobody answers any more must not keep us.
            runtime.shutdown_background();
            end
        }
        Err(error) => Err(Failure::because(&error).exit(Exit::Bug)),
    };
    let code = match end {
        Ok(code) => code,
        Err(failure) => {
            report.failure(&failure);
            failure.exit as i32
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

async fn run(cli: &Cli, environment: &Environment, report: &Reporter) -> Result<i32, Failure> {
    let exit = match &cli.command {
        Command::Init(args) => commands::init::run(args, report)?,
        Command::Check(args) => commands::check::run(args, environment, report)?,
        Command::Up(args) => commands::up::run(args, environment, report).await?,
        Command::Rebuild(args) => commands::rebuild::run(args, environment, report).await?,
        Command::Plan(args) => commands::plan::run(args, environment, report).await?,
        Command::Adopt(args) => commands::adopt::run(args, environment, report).await?,
        Command::Status(args) => commands::status::run(args, environment, report).await?,
        Command::Snapshot(args) => commands::snapshot::run(args, environment, report).await?,
        Command::Kubeconfig(args) => commands::kubeconfig::run(args, environment, report)?,
        // kubectl's own exit status is the answer.
        Command::Kubectl(args) => return commands::kubectl::run(args, environment, report).await,
        Command::Drill(args) => commands::drill::run(args, environment, report).await?,
        // kubectl's, too.
        Command::At(args) => return commands::at::run(args, environment, report).await,
        Command::Archive(command) => commands::archive::run(command, environment, report).await?,
        Command::Lab(command) => return commands::lab::run(command, environment, report).await,
        Command::Artifacts(command) => commands::artifacts::run(command, environment, report).await?,
        Command::Node(command) => node::run(command, report).await?,
        Command::Schema => {
            let schema = inventory::schema();
            report.result(&serde_json::to_string_pretty(&schema).unwrap_or_default(), schema);
            Exit::Done
        }
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "rekindle", &mut std::io::stdout());
            Exit::Done
        }
    };
    Ok(exit as i32)
}
