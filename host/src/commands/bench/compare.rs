//! `--compare`: figures against those of a `budget.toml`.

use super::Report;
use crate::export::Prefer;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Growth that is let pass, in hundredths.
const TOLERANCE_PERCENT: u64 = 2;

/// What a section `[measured.BOARD]` holds; `[measured-speed.BOARD]` and `[measured-ram.BOARD]` hold what `--prefer`
/// makes of it. A figure that is absent is not compared.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
struct Measured {
    instructions: Option<u64>,
    cycles_m4_model: Option<u64>,
    stack_bytes: Option<u64>,
    arena_bytes: Option<u64>,
    scratch_bytes: Option<u64>,
    firmware_flash_bytes: Option<u64>,
    model_flash_bytes: Option<u64>,
    /// Instructions by layer.
    #[serde(default)]
    layers: BTreeMap<String, u64>,
}

/// One figure, then and now.
#[derive(Clone, Debug, PartialEq)]
struct Figure {
    name: String,
    before: u64,
    now: u64,
}

/// Compares `report` with what the budget at `path` has for its board and preference.
///
/// # Errors
/// A figure has grown by more than [`TOLERANCE_PERCENT`]: a sentence for each. The file has nothing to compare with.
pub fn check(report: &Report, path: &Path, prefer: Prefer) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let before = measured(&text, &report.on, prefer).with_context(|| format!("{} is no use", path.display()))?;
    let grown: Vec<_> = figures(report, &before).into_iter().filter_map(|figure| figure.complaint()).collect();
    if grown.is_empty() {
        return Ok(());
    }
    bail!("{} on {} costs more than {} allows:\n{}", report.model, report.on, path.display(), grown.join("\n"))
}

/// The section of a budget for a board and a preference.
fn measured(budget: &str, board: &str, prefer: Prefer) -> Result<Measured> {
    let section = match prefer {
        Prefer::Flash => "measured".to_owned(),
        other => format!("measured-{other}"),
    };
    let budget: toml::Table = budget.parse()?;
    let found = budget.get(&section).and_then(|boards| boards.get(board));
    let found = found.with_context(|| format!("it has no section [{section}.{board}]"))?;
    let measured: Measured =
        found.clone().try_into().with_context(|| format!("[{section}.{board}] is not understood"))?;
    if measured.instructions.is_none() {
        bail!("[{section}.{board}] has no instructions");
    }
    Ok(measured)
}

/// What both know.
fn figures(report: &Report, before: &Measured) -> Vec<Figure> {
    let whole = [
        ("instructions", before.instructions, Some(report.instructions)),
        ("modelled M4 cycles", before.cycles_m4_model, report.cycles_m4_model),
        ("bytes of stack", before.stack_bytes, Some(report.stack_bytes.into())),
        ("bytes of arena", before.arena_bytes, Some(report.arena_bytes.into())),
        ("bytes of scratch", before.scratch_bytes, Some(report.scratch_bytes.into())),
        ("bytes of firmware", before.firmware_flash_bytes, Some(report.flash.code.into())),
        ("bytes of model", before.model_flash_bytes, Some(report.flash.model as u64)),
    ];
    let whole = whole.into_iter().map(|(name, before, now)| (name.to_owned(), before, now));
    let layers = report.layers.iter().map(|layer| {
        let before = before.layers.get(&layer.name).copied();
        (format!("instructions of {}", layer.name), before, Some(layer.instructions))
    });
    let both = whole.chain(layers).filter_map(|(name, before, now)| Some(Figure { name, before: before?, now: now? }));
    both.collect()
}

impl Figure {
    /// What is wrong with it, if it has grown too much.
    fn complaint(&self) -> Option<String> {
        let Self { name, before, now } = self;
        let is_grown = u128::from(*now) * 100 > u128::from(*before) * u128::from(100 + TOLERANCE_PERCENT);
        let growth = (*now as f64 / *before as f64 - 1.0) * 100.0;
        is_grown.then(|| format!("{name}: {before} before, {now} now, {growth:.1} % more"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Flash, Layer, Report};
    use super::*;

    fn report(instructions: u64, conv: u64, code: u32) -> Report {
        Report {
            model: "m".into(),
            on: "b".into(),
            macs: 1,
            instructions,
            cycles_m4_model: None,
            classes: None,
            arena_bytes: 10,
            scratch_bytes: 10,
            stack_bytes: 3000,
            flash: Flash { code, model: 5, sections: BTreeMap::new() },
            layers: vec![Layer::new("conv1".into(), 1, conv)],
        }
    }

    const BUDGET: &str = "[measured.b]\ncommand = \"x\"\ninstructions = 1000\nstack_bytes = 3000\ncycles_m4_model = 1\n\
        firmware_flash_bytes = 500\nlayers = { conv1 = 100 }\n[measured-speed.b]\ninstructions = 900\n";

    fn verdict(report: &Report, prefer: Prefer) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("budget.toml");
        std::fs::write(&path, BUDGET).unwrap();
        check(report, &path, prefer).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn two_percent_pass_and_more_does_not() {
        assert_eq!(verdict(&report(1000, 100, 500), Prefer::Flash), Ok(()));
        assert_eq!(verdict(&report(1020, 102, 510), Prefer::Flash), Ok(()));
        assert_eq!(verdict(&report(1, 1, 1), Prefer::Flash), Ok(()));
        let error = verdict(&report(1021, 100, 500), Prefer::Flash).unwrap_err();
        assert!(error.ends_with(":\ninstructions: 1000 before, 1021 now, 2.1 % more"), "{error}");
    }

    #[test]
    fn every_figure_has_its_sentence() {
        let error = verdict(&report(1000, 103, 600), Prefer::Flash).unwrap_err();
        assert!(error.contains("\ninstructions of conv1: 100 before, 103 now, 3.0 % more"), "{error}");
        assert!(error.contains("\nbytes of firmware: 500 before, 600 now, 20.0 % more"), "{error}");
    }

    #[test]
    fn the_preference_chooses_the_section_and_one_that_is_missing_is_an_error() {
        assert!(verdict(&report(1000, 100, 500), Prefer::Speed).unwrap_err().contains("900 before, 1000 now"));
        let error = verdict(&report(1000, 100, 500), Prefer::Ram).unwrap_err();
        assert!(error.contains("no section [measured-ram.b]"), "{error}");
    }
}
