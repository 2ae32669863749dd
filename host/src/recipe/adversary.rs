//! The second net of a GAN.

use super::check::{Bounds, Checked, LAYER_LIMIT, count, number};
use super::fault::Step::{self, Key};
use super::shapes::{Place, last};
use super::{Fault, Loss, Recipe, Shape, Source, Target};
use crate::graph::{Activation, Layer};
use serde::{Deserialize, Serialize};

/// The net that a generator learns against, and what the generator draws from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Adversary {
    /// Values that the generator reads, from the standard normal distribution but for those that name a class.
    pub latent: usize,
    /// The first latent values say which class to draw, and the discriminator also learns to tell the classes of the data, which
    /// the generator's drawings then have to be taken for (Odena et al. 2017, auxiliary classifier GAN).
    #[serde(default)]
    pub classes: bool,
    /// Standard deviation of the normal values once the generator is trained, in place of 1: below, drawings are better and less diverse
    /// (Brock et al. 2019).
    #[serde(default)]
    pub spread: Option<f32>,
    /// Learning rate of the discriminator as a multiple of the generator's, in place of 1.
    #[serde(default)]
    pub rate: Option<f32>,
    /// The classifier that judges drawings when they are evaluated: name of a model that reads the same data.
    #[serde(default)]
    pub judge: Option<String>,
    /// The discriminator, which reads images of −1…1 and gives one logit, and with `classes` one more for each of them.
    pub layers: Vec<Layer>,
}

impl Adversary {
    /// Standard deviation of the normal values that a trained generator draws from.
    pub fn spread(&self) -> f32 {
        self.spread.unwrap_or(1.0)
    }

    /// How many classes of `source` the generator is asked for by name; 0 if it is not.
    pub fn drawn_classes(&self, source: Source) -> usize {
        if self.classes { source.classes().len() } else { 0 }
    }

    /// Learning rate of the discriminator as a multiple of the generator's.
    pub fn rate(&self) -> f32 {
        self.rate.unwrap_or(1.0)
    }
}

/// Where its layers stand.
const LAYERS: [Step; 2] = [Key("adversary"), Key("layers")];

impl Recipe {
    /// Target, loss and adversary of a generator belong together.
    pub(super) fn check_adversary(&self) -> Checked {
        let target = self.data.target == Target::Sample;
        let adversary = match (&self.adversary, &self.training.loss, self.image()) {
            (None, Loss::Adversarial { .. }, _) => {
                return fault("training", "the loss adversarial needs an [adversary]");
            }
            (None, ..) if target => {
                return fault("data", "`target = \"sample\"` needs an [adversary] to learn against");
            }
            (None, ..) => return Ok(()),
            (_, _, None) => return fault("adversary", "a GAN draws images, and the data are texts"),
            (Some(_), ..) if !target => return fault("adversary", "it needs `target = \"sample\"` in [data]"),
            (Some(adversary), Loss::Adversarial { real }, Some(image)) => {
                number(&["training", "loss", "real"], *real, Bounds::UpTo(1.0))?;
                (adversary, image)
            }
            _ => return fault("training", "a generator needs `loss = { type = \"adversarial\" }`"),
        };
        let (adversary, image) = adversary;
        let classes = adversary.drawn_classes(self.data.source);
        // Beside the class, there has to be something to draw from.
        count(&[Key("adversary"), Key("latent")], "", adversary.latent, classes + 1..=LAYER_LIMIT)?;
        number(&["adversary", "spread"], adversary.spread(), Bounds::Positive)?;
        number(&["adversary", "rate"], adversary.rate(), Bounds::Positive)?;
        let shapes = self.walk(&LAYERS, &adversary.layers, image)?;
        let shape = last(&LAYERS, &shapes)?;
        if shape != (Shape::Flat { length: 1 + classes }) {
            let more = if classes > 0 { format!(" and one for each of the {classes} classes") } else { String::new() };
            let message = format!("the last layer gives {}, expected one logit{more}", shape.words());
            return Err(Fault { way: LAYERS.to_vec(), message });
        }
        let linear =
            |layer: &Layer| matches!(layer, Layer::Dense { activation: Activation::Linear, batch_norm: false, .. });
        if !adversary.layers.last().is_some_and(linear) {
            let message = "the last layer has to be of type dense, without activation and batch norm".to_owned();
            return Err(Fault { way: LAYERS.to_vec(), message });
        }
        if self.data.validation > 0 {
            return fault("data", "validation: a generator has nothing to be validated by; hold no samples back");
        }
        let dropout = self.layers.iter().enumerate().find(|(_, layer)| matches!(layer, Layer::Dropout { .. }));
        if let Some((index, layer)) = dropout {
            return Err(Place { list: &LAYERS[1..], index, layer }.fault(None, "a generator has no dropout".to_owned()));
        }
        Ok(())
    }
}

fn fault(key: &'static str, message: &str) -> Checked {
    Err(Fault { way: vec![Key(key)], message: message.to_owned() })
}
