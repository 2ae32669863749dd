//! Whether a well-formed recipe makes sense.

use super::fault::Step::{self, Item, Key};
use super::{Augmentation, Fault, Loss, Optimizer, Recipe, Schedule, Storage, Target, Text, load::is_name};
use crate::graph::{Activation, Layer};
use std::ops::RangeInclusive;

/// Largest count of anything in a layer, and of all parameters: well beyond any microcontroller.
pub(super) const LAYER_LIMIT: usize = 1 << 16;
pub(super) const PARAMETER_LIMIT: usize = 1 << 28;
const EPOCH_LIMIT: usize = 1 << 20;
/// Tokens that the device can tell apart.
const TOKEN_LIMIT: usize = 1 << 15;

pub(super) type Checked<T = ()> = Result<T, Fault>;

impl Recipe {
    /// Checks what the types cannot express: ranges, shapes from layer to layer, sizes against the data.
    ///
    /// # Errors
    /// The first mistake and where it stands.
    pub fn check(&self) -> Checked {
        if !is_name(&self.name) {
            let message =
                format!("name `{}`: expected ASCII letters, digits, `-`, `_` or `.`, as in a folder's name", self.name);
            return Err(Fault { way: vec![Key("name")], message });
        }
        self.check_sizes()?;
        self.shapes()?;
        self.check_adversary()?;
        self.check_loss()?;
        check_optimizer(&self.training.optimizer)?;
        if let Schedule::Cosine { warm_up } = self.training.schedule {
            number(&["training", "schedule", "warm-up"], warm_up, Bounds::HalfOpen)?;
        }
        if let Some(ema) = self.training.ema {
            number(&["training", "ema"], ema, Bounds::Open)?;
        }
        if let Some(clip) = self.training.clip {
            number(&["training", "clip"], clip, Bounds::Positive)?;
        }
        if let Some(patience) = self.training.early_stopping {
            count(&[Key("training"), Key("early-stopping")], "", patience, 1..=EPOCH_LIMIT)?;
            self.check_held_back("early-stopping", "judges by")?;
        }
        if self.training.temperature {
            if !matches!(self.training.loss, Loss::CrossEntropy { .. }) {
                let message = "temperature divides logits: it needs the loss cross-entropy".to_owned();
                return Err(Fault { way: vec![Key("training"), Key("temperature")], message });
            }
            self.check_held_back("temperature", "is fitted on")?;
        }
        self.check_stages()?;
        self.check_text()?;
        let Some([height, ..]) = self.data.source.image() else {
            let message = format!("[augmentation] distorts images, and {} are texts", self.data.source.name());
            let none = self.augmentation == Augmentation::default();
            return if none { Ok(()) } else { Err(Fault { way: vec![Key("augmentation")], message }) };
        };
        check_augmentation(&self.augmentation, height)
    }

    /// A key of the training that needs held-back samples.
    fn check_held_back(&self, key: &'static str, does: &str) -> Checked {
        if self.data.validation > 0 {
            return Ok(());
        }
        let message = format!("{key} {does} held-back samples: hold some back in [data]");
        Err(Fault { way: vec![Key("training"), Key(key)], message })
    }

    /// What is said of texts, for sources of texts and for them alone.
    fn check_text(&self) -> Checked {
        let source = self.data.source.name();
        let fault = |message: String| Err(Fault { way: vec![Key("text")], message });
        let Text { vocabulary, span, window, word_dropout, storage, .. } = match (&self.text, self.data.source.image())
        {
            (None, Some(_)) => return Ok(()),
            (Some(_), Some(_)) => return fault(format!("[text] says how texts are read, and {source} are images")),
            (None, None) => return fault(format!("[text] is missing: say how the texts of {source} are read")),
            (Some(text), None) => text,
        };
        let count = |key, value, range| count(&[Key("text"), Key(key)], "", value, range);
        count("vocabulary", *vocabulary, 2..=TOKEN_LIMIT)?;
        count("span", *span, 1..=LAYER_LIMIT)?;
        if let Some(window) = window {
            count("window", *window, 1..=LAYER_LIMIT)?;
        }
        number(&["text", "word-dropout"], *word_dropout, Bounds::HalfOpen)?;
        match (storage, self.embedding_dimensions()) {
            (Storage::Codes(bytes), Some(dimensions)) if *bytes == 0 || !dimensions.is_multiple_of(*bytes) => {
                fault(format!("storage: {bytes} codes do not divide {dimensions} values a word evenly"))
            }
            _ => Ok(()),
        }
    }

    fn check_stages(&self) -> Checked {
        for (index, stage) in self.stages.iter().enumerate() {
            let way = |key| vec![Key("stages"), Item(index), Key(key)];
            count(&way("epochs"), "", stage.epochs, 1..=EPOCH_LIMIT)?;
            if let Some(span) = stage.span {
                count(&way("span"), "", span, 1..=LAYER_LIMIT)?;
            }
            if !(stage.rate > 0.0 && stage.rate.is_finite()) {
                return Err(out_of_range(way("rate"), "", &stage.rate, "more than 0"));
            }
            let coded = matches!(self.text, Some(Text { storage: Storage::Codes(_), .. }));
            if stage.codes && !coded {
                let message = "codes need `storage = { codes = N }` in [text]".to_owned();
                return Err(Fault { way: way("codes"), message });
            }
        }
        Ok(())
    }

    fn check_sizes(&self) -> Checked {
        let samples = self.data.source.train_samples();
        count(&[Key("data"), Key("validation")], "", self.data.validation, 0..=samples - 1)?;
        count(&[Key("training"), Key("epochs")], "", self.training.epochs, 1..=EPOCH_LIMIT)?;
        count(&[Key("training"), Key("batch")], "", self.training.batch, 1..=samples - self.data.validation)
    }

    /// A loss judges what it was made for: softmax cross-entropy logits, binary cross-entropy the sigmoid of the last layer.
    fn check_loss(&self) -> Checked {
        let (loss, fits, needs, last) = match self.training.loss {
            Loss::CrossEntropy { label_smoothing } => {
                number(&["training", "loss", "label-smoothing"], label_smoothing, Bounds::HalfOpen)?;
                let fits = self.data.target == Target::Class;
                ("cross-entropy", fits, "`target = \"class\"` in [data]", Activation::Linear)
            }
            Loss::BinaryCrossEntropy => {
                let fits = self.data.target == Target::Input || self.data.source.classes().len() == 2;
                ("binary-cross-entropy", fits, "`target = \"input\"` in [data] or two classes", Activation::Sigmoid)
            }
            // A generator's values are those of its data, −1…1.
            Loss::Adversarial { .. } => {
                let tanh = |layer: &Layer| match layer {
                    Layer::Conv2d { activation, .. }
                    | Layer::ConvTranspose2d { activation, .. }
                    | Layer::Dense { activation, .. } => *activation == Activation::Tanh,
                    _ => false,
                };
                let message = "the loss adversarial needs a last layer with a tanh".to_owned();
                let fits = self.layers.last().is_some_and(tanh);
                let way = vec![Key("training"), Key("loss")];
                return if fits { Ok(()) } else { Err(Fault { way, message }) };
            }
        };
        if !fits {
            let message = format!("the loss {loss} needs {needs}");
            return Err(Fault { way: vec![Key("training"), Key("loss")], message });
        }
        match self.layers.last() {
            Some(Layer::Dense { activation, .. }) if *activation == last => Ok(()),
            _ => {
                let wanted = if last == Activation::Linear { "without activation" } else { "with a sigmoid" };
                let message = format!("the loss {loss} needs a last layer of type dense {wanted}");
                Err(Fault { way: vec![Key("training"), Key("loss")], message })
            }
        }
    }
}

fn check_optimizer(optimizer: &Optimizer) -> Checked {
    let check = |key, value, bounds| number(&["training", "optimizer", key], value, bounds);
    let moments = |beta1, beta2, epsilon| {
        check("beta1", beta1, Bounds::HalfOpen)?;
        check("beta2", beta2, Bounds::HalfOpen)?;
        check("epsilon", epsilon, Bounds::Open)
    };
    match *optimizer {
        Optimizer::Sgd { rate, momentum } => {
            check("rate", rate, Bounds::Positive)?;
            check("momentum", momentum, Bounds::HalfOpen)
        }
        Optimizer::Adam { rate, beta1, beta2, epsilon } => {
            check("rate", rate, Bounds::Positive)?;
            moments(beta1, beta2, epsilon)
        }
        Optimizer::Adamw { rate, beta1, beta2, epsilon, decay } => {
            check("rate", rate, Bounds::Positive)?;
            moments(beta1, beta2, epsilon)?;
            check("decay", decay, Bounds::UpTo(1.0))
        }
        Optimizer::Adadelta { rate, rho, epsilon } => {
            check("rate", rate, Bounds::Positive)?;
            check("rho", rho, Bounds::HalfOpen)?;
            check("epsilon", epsilon, Bounds::Open)
        }
    }
}

fn check_augmentation(augmentation: &Augmentation, height: usize) -> Checked {
    let check = |key, value, bounds| number(&["augmentation", key], value, bounds);
    check("rotation", augmentation.rotation, Bounds::UpTo(180.0))?;
    check("shift", augmentation.shift, Bounds::UpTo(height as f32 / 2.0))?;
    count(&[Key("augmentation"), Key("crop")], "", augmentation.crop, 0..=height / 2)?;
    check("scale", augmentation.scale, Bounds::HalfOpen)?;
    check("shear", augmentation.shear, Bounds::UpTo(1.0))?;
    check("elastic", augmentation.elastic, Bounds::UpTo(height as f32 / 4.0))?;
    check("erasing", augmentation.erasing, Bounds::UpTo(1.0))?;
    check("finish", augmentation.finish, Bounds::UpTo(1.0))?;
    check("finish-strength", augmentation.finish_strength, Bounds::UpTo(1.0))?;
    check("plain", augmentation.plain, Bounds::UpTo(1.0))
}

/// Where a number may lie; none of them holds NaN or infinity.
#[derive(Clone, Copy)]
pub(super) enum Bounds {
    /// 0 < x
    Positive,
    /// 0 < x < 1
    Open,
    /// 0 ≤ x < 1
    HalfOpen,
    /// 0 ≤ x ≤ limit
    UpTo(f32),
}

pub(super) fn number(keys: &[&'static str], value: f32, bounds: Bounds) -> Checked {
    let (holds, expected) = match bounds {
        Bounds::Positive => (value > 0.0 && value.is_finite(), "more than 0".to_owned()),
        Bounds::Open => (value > 0.0 && value < 1.0, "more than 0 and below 1".to_owned()),
        Bounds::HalfOpen => ((0.0..1.0).contains(&value), "0 or more and below 1".to_owned()),
        Bounds::UpTo(limit) => ((0.0..=limit).contains(&value), format!("0 to {limit}")),
    };
    match holds {
        true => Ok(()),
        false => Err(out_of_range(keys.iter().map(|key| Key(key)).collect(), "", &value, &expected)),
    }
}

pub(super) fn count(way: &[Step], prefix: &str, value: usize, range: RangeInclusive<usize>) -> Checked {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(out_of_range(way.to_vec(), prefix, &value, &format!("{} to {}", range.start(), range.end()))),
    }
}

fn out_of_range(way: Vec<Step>, prefix: &str, value: &dyn std::fmt::Display, expected: &str) -> Fault {
    let key = match way.last() {
        Some(Key(key)) => *key,
        _ => "value",
    };
    Fault { message: format!("{prefix}{key} is {value}, expected {expected}"), way }
}
