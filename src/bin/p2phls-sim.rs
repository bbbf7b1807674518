// SPDX-License-Identifier: MPL-2.0

//! The simulator's command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use gstp2phls::sim::report::Report;
use gstp2phls::sim::{Options, Scenario, plot, run, trace};

/// Runs worlds of viewers in virtual time, with the element's own switcher and the tracker's own choice.
#[derive(Parser)]
#[command(version)]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario.
    Run {
        #[command(flatten)]
        common: Common,
        /// Watch over HTTP alone.
        #[arg(long)]
        no_p2p: bool,
        /// Tell why a viewer took a segment, or all of them, from where it took it.
        #[arg(long, value_name = "VIEWER[:SEGMENT]", value_parser = traced)]
        trace: Option<(u32, Option<u32>)>,
    },
    /// Run a scenario with peers and without.
    Compare {
        #[command(flatten)]
        common: Common,
    },
    /// Run the variations that a scenario names.
    Sweep {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
struct Common {
    /// The world, as TOML.
    scenario: PathBuf,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seats in the audience, instead of the scenario's.
    #[arg(long)]
    viewers: Option<u32>,
    /// Simulated seconds, instead of the scenario's.
    #[arg(long)]
    duration: Option<f64>,
    /// Threads; 0 takes as many as there are processors. The result does not depend on it.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Write all figures here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write plots into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    svg: Option<PathBuf>,
    /// Do not tell how far it is.
    #[arg(long, short)]
    quiet: bool,
}

fn traced(text: &str) -> Result<(u32, Option<u32>), String> {
    let number = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
    match text.split_once(':') {
        Some((viewer, segment)) => Ok((number(viewer)?, Some(number(segment)?))),
        None => Ok((number(text)?, None)),
    }
}

fn main() -> ExitCode {
    match perform(Flags::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("p2phls-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    let (Command::Run { common, .. } | Command::Compare { common } | Command::Sweep { common }) = &command;
    let mut scenario = Scenario::load(&common.scenario)?;
    scenario.viewers = common.viewers.unwrap_or(scenario.viewers);
    scenario.duration = common.duration.unwrap_or(scenario.duration);
    let mut options =
        Options { seed: common.seed, threads: common.threads, progress: !common.quiet, ..Options::default() };
    if let Command::Run { no_p2p, trace: traced, .. } = &command {
        options.p2p = !no_p2p;
        options.trace = traced.map(|(viewer, _)| viewer);
        if let Some((_, segment)) = traced {
            trace::install(*segment, |line| eprintln!("{line}")).map_err(|error| error.to_string())?;
        }
    }
    let mut reports = Vec::new();
    for (scenario, options) in runs(&command, scenario, options) {
        reports.push(Report::new(&run(&scenario, &options)?));
    }
    print!("{}", Report::table(&reports));
    if let Some(file) = &common.json {
        std::fs::write(file, serde_json::to_string_pretty(&reports)?)?;
    }
    if let Some(directory) = &common.svg {
        plot::write(directory, &reports)?;
    }
    Ok(())
}

/// What the command asks to be run.
fn runs(command: &Command, scenario: Scenario, options: Options) -> Vec<(Scenario, Options)> {
    match command {
        Command::Run { .. } => vec![(scenario, options)],
        Command::Compare { .. } => {
            [true, false].map(|p2p| (scenario.clone(), Options { p2p, ..options.clone() })).into()
        }
        Command::Sweep { .. } => {
            scenario.variations().into_iter().map(|scenario| (scenario, options.clone())).collect()
        }
    }
}
