//! Whether a well-formed recipe makes sense.

use super::fault::Step::{self, Item, Key};
use super::{Augmentation, Fault, Loss, Optimizer, Recipe, Schedule, Storage, Target, Text, load::is_name};
use crate::graph::{Activation, Layer, Padding};
use std::ops::RangeInclusive;

/// Largest count of anything in a layer, and of all parameters: well beyond any microcontroller.
const LAYER_LIMIT: usize = 1 << 16;
const PARAMETER_LIMIT: usize = 1 << 28;
const EPOCH_LIMIT: usize = 1 << 20;
/// Tokens that the device can tell apart.
const TOKEN_LIMIT: usize = 1 << 15;

type Checked<T = ()> = Result<T, Fault>;

/// Shape of one sample between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Image {
        height: usize,
        width: usize,
        channels: usize,
    },
    Flat {
        length: usize,
    },
    Tokens,
    /// So many values a token.
    Sequence {
        width: usize,
    },
}

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
            if self.data.validation == 0 {
                let message = "early-stopping judges by held-back samples: hold some back in [data]".to_owned();
                return Err(Fault { way: vec![Key("training"), Key("early-stopping")], message });
            }
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
        let dimensions = self.layers.iter().find_map(|layer| match layer {
            Layer::Embedding { dimensions } => Some(*dimensions),
            _ => None,
        });
        match (storage, dimensions) {
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

    /// The shape behind each layer, for one sample.
    ///
    /// # Errors
    /// The first layer that cannot follow the one before, e.g. `layer 5 (max-pool2d): size is 4, but its input is 2×2`;
    /// a last layer that does not give one value per class.
    pub fn shapes(&self) -> Checked<Vec<Shape>> {
        let image = self.data.source.image();
        let mut shape =
            image.map_or(Shape::Tokens, |[height, width, channels]| Shape::Image { height, width, channels });
        let mut parameters = 0;
        let mut shapes = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let place = Place { index, layer };
            let input = shape;
            shape = place.output(input)?;
            parameters += place.parameters(input, shape, self.text.as_ref().map_or(0, |text| text.vocabulary));
            if parameters > PARAMETER_LIMIT {
                return Err(place.fault(
                    None,
                    format!("the net has {parameters} parameters by here, expected at most {PARAMETER_LIMIT}"),
                ));
            }
            shapes.push(shape);
        }
        let (wanted, values) = match self.data.target {
            Target::Class => (self.data.source.classes().len(), "classes"),
            Target::Input => (image.map_or(0, |sides| sides.iter().product()), "values of its input"),
        };
        // Of two classes, one probability says all.
        let binary = self.training.loss == Loss::BinaryCrossEntropy && self.data.target == Target::Class && wanted == 2;
        if shape == (Shape::Flat { length: if binary { 1 } else { wanted } }) {
            return Ok(shapes);
        }
        let Some((index, layer)) = self.layers.iter().enumerate().next_back() else {
            return Err(Fault { way: vec![Key("layers")], message: "there are no layers".to_owned() });
        };
        let message =
            format!("the last layer gives {}, expected one value for each of the {wanted} {values}", shape.words());
        Err(Place { index, layer }.fault(None, message))
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

impl Shape {
    /// For a sentence, e.g. `13×13×32` or `1600 values`.
    fn words(self) -> String {
        match self {
            Shape::Image { height, width, channels } => format!("{height}×{width}×{channels}"),
            Shape::Flat { length } => format!("{length} values"),
            Shape::Tokens => "tokens".to_owned(),
            Shape::Sequence { width } => format!("a sequence of {width} values a token"),
        }
    }
}

/// One layer and its place, to name it.
struct Place<'a> {
    index: usize,
    layer: &'a Layer,
}

impl Place<'_> {
    fn fault(&self, key: Option<&'static str>, message: String) -> Fault {
        let mut way = vec![Key("layers"), Item(self.index)];
        way.extend(key.map(Key));
        Fault { way, message: format!("{}: {message}", self.name()) }
    }

    fn name(&self) -> String {
        format!("layer {} ({})", self.index + 1, self.layer.kind())
    }

    fn count(&self, key: &'static str, value: usize) -> Checked {
        count(&[Key("layers"), Item(self.index), Key(key)], &format!("{}: ", self.name()), value, 1..=LAYER_LIMIT)
    }

    fn output(&self, input: Shape) -> Checked<Shape> {
        match *self.layer {
            Layer::Conv2d { filters, kernel, stride, padding, .. } => {
                self.count("filters", filters)?;
                self.count("kernel", kernel)?;
                self.count("stride", stride)?;
                let (height, width, _) = self.image(input)?;
                if padding == Padding::Valid {
                    self.fits("kernel", kernel, height, width)?;
                }
                let extent = |input: usize| match padding {
                    Padding::Valid => (input - kernel) / stride + 1,
                    Padding::Same => input.div_ceil(stride),
                };
                Ok(Shape::Image { height: extent(height), width: extent(width), channels: filters })
            }
            Layer::MaxPool2d { size } => {
                self.count("size", size)?;
                let (height, width, channels) = self.image(input)?;
                self.fits("size", size, height, width)?;
                Ok(Shape::Image { height: height / size, width: width / size, channels })
            }
            Layer::Flatten => {
                let (height, width, channels) = self.image(input)?;
                Ok(Shape::Flat { length: height * width * channels })
            }
            Layer::Dense { units, .. } => {
                self.count("units", units)?;
                match input {
                    Shape::Flat { .. } => Ok(Shape::Flat { length: units }),
                    Shape::Image { .. } => {
                        let message =
                            format!("input is {}, expected a flat one: put a `flatten` layer before", input.words());
                        Err(self.fault(None, message))
                    }
                    Shape::Tokens | Shape::Sequence { .. } => Err(self
                        .fault(None, format!("input is {}, expected a flat one: put an LSTM before", input.words()))),
                }
            }
            Layer::Dropout { rate } => {
                self.rate("rate", rate)?;
                match input {
                    Shape::Tokens => Err(self.fault(None, "input is tokens: put an embedding before".to_owned())),
                    input => Ok(input),
                }
            }
            Layer::Embedding { dimensions } => {
                self.count("dimensions", dimensions)?;
                match input {
                    Shape::Tokens => Ok(Shape::Sequence { width: dimensions }),
                    input => Err(self.fault(None, format!("input is {}, expected tokens", input.words()))),
                }
            }
            Layer::Lstm { units, recurrent_dropout, drop_connect, .. } => {
                self.count("units", units)?;
                self.rate("recurrent-dropout", recurrent_dropout)?;
                self.rate("drop-connect", drop_connect)?;
                match input {
                    Shape::Sequence { .. } => Ok(Shape::Flat { length: units }),
                    input => {
                        let message =
                            format!("input is {}, expected a sequence: put an embedding before", input.words());
                        Err(self.fault(None, message))
                    }
                }
            }
        }
    }

    fn rate(&self, key: &'static str, rate: f32) -> Checked {
        match (0.0..1.0).contains(&rate) {
            true => Ok(()),
            false => Err(self.fault(Some(key), format!("{key} is {rate}, expected 0 or more and below 1"))),
        }
    }

    fn image(&self, input: Shape) -> Checked<(usize, usize, usize)> {
        match input {
            Shape::Image { height, width, channels } => Ok((height, width, channels)),
            Shape::Flat { length } => Err(self
                .fault(None, format!("input is {length} values, expected an image: the layers before made it flat"))),
            Shape::Tokens | Shape::Sequence { .. } => {
                Err(self.fault(None, format!("input is {}, expected an image", input.words())))
            }
        }
    }

    fn fits(&self, key: &'static str, size: usize, height: usize, width: usize) -> Checked {
        match size <= height.min(width) {
            true => Ok(()),
            false => Err(self.fault(Some(key), format!("{key} is {size}, but its input is {height}×{width}"))),
        }
    }

    /// Weights and biases. Both counts are limited, so the product of three fits 64 bits.
    fn parameters(&self, input: Shape, output: Shape, vocabulary: usize) -> usize {
        match (self.layer, input, output) {
            (Layer::Conv2d { kernel, filters, .. }, Shape::Image { channels, .. }, _) => {
                kernel.saturating_mul(*kernel).saturating_mul(channels).saturating_add(1).saturating_mul(*filters)
            }
            (Layer::Dense { units, .. }, Shape::Flat { length }, _) => length.saturating_add(1).saturating_mul(*units),
            (Layer::Embedding { dimensions }, ..) => vocabulary.saturating_mul(*dimensions),
            (Layer::Lstm { units, .. }, Shape::Sequence { width }, _) => {
                width.saturating_add(*units).saturating_add(1).saturating_mul(4).saturating_mul(*units)
            }
            _ => 0,
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
    check("scale", augmentation.scale, Bounds::HalfOpen)?;
    check("shear", augmentation.shear, Bounds::UpTo(1.0))?;
    check("elastic", augmentation.elastic, Bounds::UpTo(height as f32 / 4.0))?;
    check("erasing", augmentation.erasing, Bounds::UpTo(1.0))?;
    check("finish", augmentation.finish, Bounds::UpTo(1.0))?;
    check("finish-strength", augmentation.finish_strength, Bounds::UpTo(1.0))
}

/// Where a number may lie; none of them holds NaN or infinity.
#[derive(Clone, Copy)]
enum Bounds {
    /// 0 < x
    Positive,
    /// 0 < x < 1
    Open,
    /// 0 ≤ x < 1
    HalfOpen,
    /// 0 ≤ x ≤ limit
    UpTo(f32),
}

fn number(keys: &[&'static str], value: f32, bounds: Bounds) -> Checked {
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

fn count(way: &[Step], prefix: &str, value: usize, range: RangeInclusive<usize>) -> Checked {
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
