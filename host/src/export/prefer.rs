//! What counts most when a model's weights are packed for a core: `--prefer flash|speed|ram`.
//!
//! Cores with DSP have three forms of a convolution:
//!
//! | form | flash | instructions | scratch |
//! |---|---|---|---|
//! | ordinary | a byte a weight | | four patches, as halfwords |
//! | Winograd's | 3.6 bytes a weight | least, with channels enough | two tiles, as halfwords, and sums |
//! | place by place | a byte a weight | most | one patch, as bytes and as halfwords |
//!
//! The choice is made here, op by op, and recorded in the container; [`pack_for`](super::pack_for) follows it.

use super::cost;
use super::pack::{Form, pack_for, rebuilt};
use crate::twin::Twin;
use anyhow::{Result, anyhow};
use firmware::kernels::packing::conv2d_bytes;
use firmware::kernels::variants::variant;
use firmware::kernels::{Conv2d, optimized};
use firmware::model::format::{PACKING_DSP, PACKING_DSP_PLACES, PACKING_DSP_WINOGRAD};
use firmware::model::{Op, Parameters, Preference};
use std::fmt;

/// What counts most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Prefer {
    /// A short model, a byte a weight: it fits its board whichever of these cores that has (the default)
    #[default]
    Flash,
    /// A quick inference: where it pays, weights that take 3.6 times the flash
    Speed,
    /// Little scratch: slower forms, where they lower what the model needs as a whole
    Ram,
}

impl fmt::Display for Prefer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flash => "flash",
            Self::Speed => "speed",
            Self::Ram => "ram",
        })
    }
}

/// The portable `container` with what `prefer` means for each of its ops, whatever it held before. With `flash_budget`, it has
/// at most so many bytes when it is packed for a core with DSP, or as few as it can: the convolutions that save most
/// instructions a byte come first.
pub fn prefer(container: &[u8], prefer: Prefer, flash_budget: Option<usize>) -> Result<Vec<u8>> {
    let twin = Twin::new(container)?;
    let model = twin.model();
    let ops = (0..model.op_count()).map(|index| model.op(index).map_err(|error| anyhow!("op {index}: {error}")));
    let ops = ops.collect::<Result<Vec<_>>>()?;
    let (preference, chosen) = match prefer {
        Prefer::Flash => (Preference::Flash, Vec::new()),
        Prefer::Speed => {
            let room = match flash_budget {
                Some(budget) => budget.saturating_sub(ordinary_bytes(container)?),
                None => usize::MAX,
            };
            (Preference::Speed, quicker(&ops, room))
        }
        Prefer::Ram => (Preference::Ram, smaller(&ops)),
    };
    rebuilt(container, |index, op| Form {
        packing: op.variant.packing,
        preference: if chosen.contains(&index) { preference } else { Preference::Flash },
    })
}

/// Bytes of the container on a core with DSP, all ops in their ordinary forms.
fn ordinary_bytes(container: &[u8]) -> Result<usize> {
    Ok(pack_for(&prefer(container, Prefer::Flash, None)?, PACKING_DSP)?.len())
}

/// The ops that Winograd's form makes quicker, as far as the bytes that it adds fit `room`: first what saves most a byte.
fn quicker(ops: &[Op<'_>], mut room: usize) -> Vec<usize> {
    let mut gains: Vec<_> = ops.iter().enumerate().filter_map(|(index, op)| Some((gain(op)?, index))).collect();
    gains.sort_by(|(a, _), (b, _)| b.per_byte().total_cmp(&a.per_byte()));
    gains.retain(|(gain, _)| match room.checked_sub(gain.bytes) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    });
    gains.into_iter().map(|(_, index)| index).collect()
}

/// The ops whose ordinary form takes more scratch than the model needs at least.
fn smaller(ops: &[Op<'_>]) -> Vec<usize> {
    let scratch = |op: &Op<'_>, preference| scratch_bytes(op, form(op, PACKING_DSP, preference));
    let least = |op: &Op<'_>| scratch(op, Preference::Flash).min(scratch(op, Preference::Ram));
    let floor = ops.iter().map(least).max().unwrap_or(0);
    (0..ops.len()).filter(|index| scratch(&ops[*index], Preference::Flash) > floor).collect()
}

/// The packing of `op` on a core whose ops are packed as `packing` says.
pub(super) fn form(op: &Op<'_>, packing: u8, preference: Preference) -> u8 {
    let Parameters::Conv2d(conv) = &op.parameters else { return packing };
    let other = match (packing, preference) {
        (PACKING_DSP, Preference::Speed) => PACKING_DSP_WINOGRAD,
        (PACKING_DSP, Preference::Ram) => PACKING_DSP_PLACES,
        _ => packing,
    };
    if bytes(conv, other).is_some() { other } else { packing }
}

/// Bytes of the weights of `conv` in a packing; `None` where that cannot hold them.
fn bytes(conv: &Conv2d<'_>, packing: u8) -> Option<usize> {
    conv2d_bytes(packing, conv.output.channels, conv.input, conv.window, conv.pool)
}

/// Bytes of scratch that `op` takes in a packing.
fn scratch_bytes(op: &Op<'_>, packing: u8) -> usize {
    let variant = variant(packing).unwrap_or(op.variant);
    match &op.parameters {
        Parameters::Conv2d(conv) => (variant.conv2d_scratch_bytes)(conv.input, conv.window, conv.pool),
        Parameters::ConvTranspose2d(conv) => {
            optimized::conv_transpose2d_scratch_bytes(variant, conv.input, conv.output, conv.window)
        }
        Parameters::Lstm(lstm) => (variant.lstm_scratch_bytes)(lstm.inputs(), lstm.units),
        _ => op.scratch_bytes,
    }
}

/// What Winograd's form of a convolution gains and costs.
struct Gain {
    instructions: usize,
    bytes: usize,
}

impl Gain {
    fn per_byte(&self) -> f64 {
        self.instructions as f64 / self.bytes.max(1) as f64
    }
}

/// `None` where there is no gain.
fn gain(op: &Op<'_>) -> Option<Gain> {
    let Parameters::Conv2d(conv) = &op.parameters else { return None };
    let [ordinary, winograd] = [bytes(conv, PACKING_DSP)?, bytes(conv, PACKING_DSP_WINOGRAD)?];
    let before = cost::ordinary(conv);
    // What is estimated is right to a tenth.
    let instructions = before.checked_sub(cost::winograd(conv)).filter(|gain| gain * 10 > before)?;
    Some(Gain { instructions, bytes: winograd.saturating_sub(ordinary.next_multiple_of(16)) })
}
