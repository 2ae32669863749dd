//! The container of a model that reads text.

use super::{Sentiment, Table};
use crate::export::Options;
use crate::export::container::{Vectors, lstm_parameters, output_stage, portable_op};
use crate::quantize::lstm::{Logit, Lstm};
use crate::recipe::Text;
use anyhow::{Result, anyhow, ensure};
use firmware::model::writer::{ModelBuilder, Parameters, TextSpec};
use firmware::model::{Element, Tensor};
use firmware::text::VocabularySpec;

/// Places of the tensors in a container, which are also the order in which a token goes through them.
const TOKEN: u16 = 0;
const VECTOR: u16 = 1;
const CELL: u16 = 2;
const HIDDEN: u16 = 3;
const LOGIT: u16 = 4;
const WINDOW: u16 = 5;

/// The container of `model`, packed for every core.
pub fn container(
    model: &Sentiment,
    table: &Table,
    lstm: &Lstm,
    head: &Logit,
    ranking: &[String],
    text: &Text,
    options: &Options,
) -> Result<Vec<u8>> {
    ensure!(
        ranking.len() + 1 >= model.vocabulary,
        "the data have {} words, which do not make a vocabulary of {}",
        ranking.len(),
        model.vocabulary
    );
    let words = &ranking[..model.vocabulary - 1];
    let built = VocabularySpec::build(words).map_err(|error| anyhow!("the vocabulary: {error}"))?;
    // The word of rank r is row r for training, and row slot + 1 on the device.
    let mut order = vec![0; model.vocabulary];
    for (slot, rank) in built.slots.iter().zip(1..) {
        order[usize::from(*slot) + 1] = rank;
    }
    let output_stage = output_stage(&head.layer, [i8::MIN, i8::MAX]);
    let dense = Parameters::Dense { weights: head.layer.weights.clone(), output_stage };
    let builder = ModelBuilder {
        name: options.name.clone(),
        labels: options.labels.clone(),
        tensors: tensors(model, table, lstm, head, text.window),
        ops: vec![
            portable_op(
                TOKEN,
                VECTOR,
                Parameters::Embedding { rows: model.vocabulary, table: table.reordered(&order) },
            ),
            portable_op(VECTOR, HIDDEN, lstm_parameters(lstm, CELL)),
            portable_op(HIDDEN, LOGIT, dense),
        ],
        input: TOKEN,
        output: LOGIT,
        text: Some(TextSpec { vocabulary: built.vocabulary, window: text.window.map(|_| WINDOW) }),
    };
    Ok(builder.finish())
}

/// One behind the other: the states have to last, and what is left is too small to share.
fn tensors(model: &Sentiment, table: &Table, lstm: &Lstm, head: &Logit, window: Option<usize>) -> Vec<Tensor> {
    let mut tensors = Vectors::default();
    tensors.push(Element::I16, 1, 1.0);
    tensors.push(Element::I8, model.dimensions, table.scale);
    tensors.push(Element::I16, model.units, lstm.cell_scale());
    tensors.push(Element::I8, model.units, crate::quantize::lstm::HIDDEN_SCALE);
    tensors.push(Element::I32, 1, head.scale);
    if let Some(window) = window {
        tensors.push(Element::I16, window, 1.0);
    }
    tensors.0
}
