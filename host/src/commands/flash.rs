//! `host flash`.

use super::probe::default_socket;
use crate::artifacts::{self, read};
use crate::device::{Board, Place, Session, board};
use crate::export::pack_for;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Replace the model on a board, and nothing else
#[derive(clap::Args)]
pub struct Arguments {
    /// Model under models/, a folder with a recipe, or a .thm file
    #[arg(default_value = "mnist-cnn")]
    model: String,
    /// Name of the board, see `host boards`
    #[arg(long)]
    on: String,
    /// Its probe, VID:PID or VID:PID:SERIAL; default: the one attached, else what `host probe serve` serves
    #[arg(long)]
    probe: Option<String>,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let board = board(&arguments.on)?;
    let packed = pack_for(&container(&arguments.model)?, board.core.packing())?;
    let place = Place::Attached(match arguments.probe {
        Some(selector) => selector,
        None => find_probe(board)?,
    });
    let hello = Session::swap_model(board, place, &packed)?.hello()?;
    if let Some(error) = hello.model_error {
        bail!("the model is in the flash of {}, but its firmware refuses it: {error}", board.name);
    }
    println!("{} runs {} ({} bytes, CRC-32 {:08x})", board.name, hello.model, packed.len(), hello.model_crc32);
    Ok(())
}

fn container(model: &str) -> Result<Vec<u8>> {
    let file = Path::new(model);
    if file.extension().is_some_and(|kind| kind == "thm") {
        return std::fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    }
    read(&artifacts::find(model)?.container())
}

fn find_probe(board: &Board) -> Result<String> {
    if let Some(selector) = board.attached().into_iter().next() {
        return Ok(selector);
    }
    let socket = default_socket(board.name);
    if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        return Ok(format!("20b7:9db1:unix:{}", socket.display()));
    }
    bail!(
        "no {0} is attached: connect one by USB, or serve an emulated one with `host probe serve {0}` and program its \
         firmware with `cargo embed --release` in boards/{0}",
        board.name
    )
}
