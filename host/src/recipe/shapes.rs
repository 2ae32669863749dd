//! Shapes from layer to layer.

use super::check::{Checked, LAYER_LIMIT, PARAMETER_LIMIT, count};
use super::fault::Step::{self, Item, Key};
use super::{Fault, Loss, Recipe, Target};
use crate::graph::{Layer, Padding};

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
    /// The shape behind each layer, for one sample.
    ///
    /// # Errors
    /// The first layer that cannot follow the one before, e.g. `layer 5 (max-pool2d): size is 4, but its input is 2×2`;
    /// a last layer that does not give one value per class.
    pub fn shapes(&self) -> Checked<Vec<Shape>> {
        let image = self.image();
        let start = match &self.adversary {
            Some(adversary) => Shape::Flat { length: adversary.latent },
            None => image.unwrap_or(Shape::Tokens),
        };
        let shapes = self.walk(&LAYERS, &self.layers, start)?;
        let shape = last(&LAYERS, &shapes)?;
        let (wanted, values) = match self.data.target {
            Target::Class => (self.data.source.classes().len(), "classes"),
            Target::Input | Target::Sample => (image.map_or(0, Shape::values), "values of a sample"),
        };
        // Of two classes, one probability says all.
        let binary = self.training.loss == Loss::BinaryCrossEntropy && self.data.target == Target::Class && wanted == 2;
        let fits = match self.data.target {
            Target::Sample => Some(shape) == image,
            _ => shape == Shape::Flat { length: if binary { 1 } else { wanted } },
        };
        if fits {
            return Ok(shapes);
        }
        let message = match (self.data.target, image) {
            (Target::Sample, Some(image)) => {
                format!(
                    "the last layer gives {}, expected an image like those of the data, {}",
                    shape.words(),
                    image.words()
                )
            }
            _ => {
                format!("the last layer gives {}, expected one value for each of the {wanted} {values}", shape.words())
            }
        };
        Err(self.layers.iter().enumerate().next_back().map_or_else(
            || Fault { way: LAYERS.to_vec(), message: message.clone() },
            |(index, layer)| Place { list: &LAYERS, index, layer }.fault(None, message.clone()),
        ))
    }

    /// Shape of a sample; `None` for texts.
    pub(super) fn image(&self) -> Option<Shape> {
        self.data.source.image().map(|[height, width, channels]| Shape::Image { height, width, channels })
    }

    /// The shape behind each of `layers`, which stand in the recipe at `list`, from that of their input.
    pub(super) fn walk(&self, list: &[Step], layers: &[Layer], input: Shape) -> Checked<Vec<Shape>> {
        let mut shape = input;
        let mut parameters = 0;
        let mut shapes = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            let place = Place { list, index, layer };
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
        Ok(shapes)
    }
}

/// Where the layers of the net that is exported stand.
const LAYERS: [Step; 1] = [Key("layers")];

/// The last of `shapes`, or a fault at `list`.
pub(super) fn last(list: &[Step], shapes: &[Shape]) -> Checked<Shape> {
    let none = || Fault { way: list.to_vec(), message: "there are no layers".to_owned() };
    shapes.last().copied().ok_or_else(none)
}

impl Shape {
    /// How many values it holds; of a text 0.
    fn values(self) -> usize {
        match self {
            Shape::Image { height, width, channels } => height * width * channels,
            Shape::Flat { length } => length,
            Shape::Tokens | Shape::Sequence { .. } => 0,
        }
    }

    /// For a sentence, e.g. `13×13×32` or `1600 values`.
    pub(super) fn words(self) -> String {
        match self {
            Shape::Image { height, width, channels } => format!("{height}×{width}×{channels}"),
            Shape::Flat { length } => format!("{length} values"),
            Shape::Tokens => "tokens".to_owned(),
            Shape::Sequence { width } => format!("a sequence of {width} values a token"),
        }
    }
}

/// One layer and its place, to name it.
pub(super) struct Place<'a> {
    /// Way to the list that it stands in.
    pub list: &'a [Step],
    pub index: usize,
    pub layer: &'a Layer,
}

impl Place<'_> {
    pub fn fault(&self, key: Option<&'static str>, message: String) -> Fault {
        let mut way = self.way();
        way.extend(key.map(Key));
        Fault { way, message: format!("{}: {message}", self.name()) }
    }

    fn name(&self) -> String {
        let of = if self.list == LAYERS { "" } else { " of the adversary" };
        format!("layer {} ({}){of}", self.index + 1, self.layer.kind())
    }

    fn way(&self) -> Vec<Step> {
        [self.list, &[Item(self.index)]].concat()
    }

    fn count(&self, key: &'static str, value: usize) -> Checked {
        let way = [self.way(), vec![Key(key)]].concat();
        count(&way, &format!("{}: ", self.name()), value, 1..=LAYER_LIMIT)
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
            Layer::ConvTranspose2d { filters, kernel, stride, padding, .. } => {
                self.count("filters", filters)?;
                self.count("stride", stride)?;
                self.count("kernel", kernel)?;
                if kernel < stride {
                    let message = format!("kernel is {kernel}, expected at least the stride, {stride}");
                    return Err(self.fault(Some("kernel"), message));
                }
                let (height, width, _) = self.image(input)?;
                let extent = |input: usize| match padding {
                    Padding::Valid => (input - 1) * stride + kernel,
                    Padding::Same => input * stride,
                };
                let (height, width) = (extent(height), extent(width));
                self.count("stride", height.max(width))?;
                Ok(Shape::Image { height, width, channels: filters })
            }
            Layer::Reshape { height, width, channels } => {
                self.count("height", height)?;
                self.count("width", width)?;
                self.count("channels", channels)?;
                match input {
                    Shape::Flat { length } if length == height * width * channels => {
                        Ok(Shape::Image { height, width, channels })
                    }
                    input => {
                        let values = height * width * channels;
                        Err(self.fault(None, format!("input is {}, expected {values} values", input.words())))
                    }
                }
            }
            Layer::MaxPool2d { size } => {
                self.count("size", size)?;
                let (height, width, channels) = self.image(input)?;
                self.fits("size", size, height, width)?;
                Ok(Shape::Image { height: height / size, width: width / size, channels })
            }
            Layer::GlobalAveragePool => {
                let (_, _, channels) = self.image(input)?;
                Ok(Shape::Flat { length: channels })
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
        // A bias; or scale, shift, mean and variance.
        let beside = |batch_norm| if batch_norm { 4 } else { 1 };
        match (self.layer, input, output) {
            (
                Layer::Conv2d { kernel, filters, batch_norm, .. }
                | Layer::ConvTranspose2d { kernel, filters, batch_norm, .. },
                Shape::Image { channels, .. },
                _,
            ) => {
                let weights = kernel.saturating_mul(*kernel).saturating_mul(channels);
                weights.saturating_add(beside(*batch_norm)).saturating_mul(*filters)
            }
            (Layer::Dense { units, batch_norm, .. }, Shape::Flat { length }, _) => {
                length.saturating_add(beside(*batch_norm)).saturating_mul(*units)
            }
            (Layer::Embedding { dimensions }, ..) => vocabulary.saturating_mul(*dimensions),
            (Layer::Lstm { units, .. }, Shape::Sequence { width }, _) => {
                width.saturating_add(*units).saturating_add(1).saturating_mul(4).saturating_mul(*units)
            }
            _ => 0,
        }
    }
}
