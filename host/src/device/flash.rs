//! Programming a board: its firmware, its model region, or both.

use super::board::Board;
use anyhow::{Context, Result, bail};
use probe_rs::flashing::{DownloadOptions, ElfLoader, ElfOptions, ImageLoader};
use std::io::Cursor;

/// What to program; what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Image<'a> {
    /// The firmware, an ELF file.
    pub firmware: Option<&'a [u8]>,
    /// The model, a container packed for the board's core.
    pub model: Option<&'a [u8]>,
}

/// Erases the sectors that `image` touches, programs them and reads them back.
pub fn program(session: &mut probe_rs::Session, board: &Board, image: Image<'_>) -> Result<()> {
    let mut loader = session.target().flash_loader();
    if let Some(elf) = image.firmware {
        ElfLoader(ElfOptions::default())
            .load(&mut loader, session, &mut Cursor::new(elf))
            .with_context(|| format!("the firmware for {} cannot be loaded", board.name))?;
    }
    if let Some(model) = image.model {
        check_size(board, model)?;
        loader
            .add_data(board.model.start.into(), model)
            .with_context(|| format!("the model does not fit the flash of {}", board.name))?;
    }
    let mut options = DownloadOptions::default();
    options.verify = true;
    loader.commit(session, options).with_context(|| format!("programming the flash of {} failed", board.name))
}

/// Refuses a model that is larger than its region.
pub fn check_size(board: &Board, model: &[u8]) -> Result<()> {
    if model.len() > board.model_bytes() {
        bail!(
            "the model takes {} bytes of flash, but {} has {} for it: export a smaller model",
            model.len(),
            board.name,
            board.model_bytes()
        );
    }
    Ok(())
}
