//! `host probe serve`.

use crate::device::board;
use crate::device::emulator::server::Server;
use crate::setup;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// Make an emulated board look like an attached one
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Serve a board's debug probe to stock probe-rs tools until interrupted
    Serve {
        /// Name of the board, see `host boards`
        board: String,
        /// Where to listen [default: /tmp/thimble-BOARD.sock]
        #[arg(long)]
        socket: Option<PathBuf>,
    },
}

/// Where `host probe serve` listens if it is not told; the boards' `Embed.toml` name the same place.
pub fn default_socket(board: &str) -> PathBuf {
    PathBuf::from(format!("/tmp/thimble-{board}.sock"))
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let Action::Serve { board: name, socket } = arguments.action;
    let board = board(&name)?;
    let spec = board.machine.as_ref().with_context(|| format!("{name} cannot be emulated"))?;
    let path = socket.unwrap_or_else(|| default_socket(&name));
    let server = Server::bind(&path)?;
    let description = path.with_extension("yaml");
    ctrlc::set_handler({
        let files = [path.clone(), description.clone()];
        move || {
            for file in &files {
                let _ = std::fs::remove_file(file);
            }
            std::process::exit(0);
        }
    })?;
    if let Some(text) = board.chip_description {
        std::fs::write(&description, text).with_context(|| format!("cannot write {}", description.display()))?;
        eprintln!("chip description of {name}, for --chip-description-path: {}", description.display());
    }
    eprintln!("{name} is at the probe 20b7:9db1:unix:{}, chip {}", path.display(), board.chip);
    // Until the process is ended.
    server.serve(&setup::qemu()?, spec, &AtomicBool::new(false))
}
