//! `host setup`.

use crate::setup::{Extras, Part, State, install, interrupt, look};
use anyhow::bail;

/// Install, once, what the other commands need
#[derive(clap::Args)]
pub struct Arguments {
    /// Only look: exit code 1 if something is missing
    #[arg(long)]
    check: bool,
    /// ONNX Runtime with CUDA, and the CUDA libraries that it loads (1.6 GB to download)
    #[arg(long)]
    gpu: bool,
    /// Also the command-line tools of probe-rs (`probe-rs`, `cargo embed`, `cargo flash`)
    #[arg(long)]
    probe_tools: bool,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let extras = Extras { gpu: arguments.gpu, probe_tools: arguments.probe_tools };
    let parts = look(extras)?;
    print!("{}", table(&parts));
    if missing(&parts) == 0 {
        return Ok(());
    }
    if arguments.check {
        bail!("{} of {} parts are missing: `host setup` installs them", missing(&parts), parts.len());
    }
    // Children (pip, apt-get) end by themselves; this process lives on to clear up what they left half-done.
    ctrlc::set_handler(interrupt)?;
    install(extras)?;
    let parts = look(extras)?;
    print!("\n{}", table(&parts));
    match missing(&parts) {
        0 => Ok(()),
        count => bail!("{count} of {} parts are still missing", parts.len()),
    }
}

fn missing(parts: &[Part]) -> usize {
    parts.iter().filter(|part| matches!(part.state, State::Missing(_))).count()
}

/// One line a part: name, purpose, where it is or what will be done.
fn table(parts: &[Part]) -> String {
    let width = |text: fn(&Part) -> &str| parts.iter().map(|part| text(part).chars().count()).max().unwrap_or(0);
    let (names, whys) = (width(|part| &part.name), width(|part| part.why));
    let line = |part: &Part| {
        let state = match &part.state {
            State::Ready(place) => format!("ready    {place}"),
            State::Missing(plan) => format!("missing  {plan}"),
        };
        format!("{:names$}  {:whys$}  {state}\n", part.name, part.why)
    };
    parts.iter().map(line).collect()
}
