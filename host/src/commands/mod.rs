//! One module a command: its arguments, and `run`, which ties the floors below together.

pub mod bench;
pub mod boards;
pub mod demo;
pub mod evaluate;
pub mod export;
pub mod flash;
mod import;
pub mod probe;
pub mod run;
pub mod setup;
pub mod train;
pub mod verify;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::IsTerminal;

/// A bar on stderr that is silent where stdout is no terminal.
pub(crate) fn progress_bar(length: u64, unit: &str) -> ProgressBar {
    let target =
        if std::io::stdout().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {unit} {{per_sec}} {{eta}}"));
    // The template above is well-formed; the default style is as good.
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length), target).with_style(style)
}

/// One JSON object on stdout.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}
