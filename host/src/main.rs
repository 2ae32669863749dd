//! The `host` command: see `host help`.

use clap::{Parser, Subcommand};
use host::commands::{bench, boards, demo, evaluate, export, flash, probe, run, setup, train, verify};
use std::process::ExitCode;

/// Train small neural networks, quantize them to int8, run them on microcontrollers.
#[derive(Parser)]
#[command(name = "host", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Arguments),
    Demo(demo::Arguments),
    Train(train::Arguments),
    Evaluate(evaluate::Arguments),
    Export(export::Arguments),
    Verify(verify::Arguments),
    Run(run::Arguments),
    Bench(bench::Arguments),
    Boards(boards::Arguments),
    Flash(flash::Arguments),
    Probe(probe::Arguments),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup(arguments) => setup::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Train(arguments) => train::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Boards(arguments) => boards::run(arguments),
        Command::Flash(arguments) => flash::run(arguments),
        Command::Probe(arguments) => probe::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
