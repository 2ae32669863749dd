//! From one layer to the stage that it becomes.

use super::{CODES, Embedding, Flow, Input, Lstm, Mask, Network, Parameter, Role, Stage, Weighted};
use crate::graph::layer::{Activation, Layer, Padding};
use crate::graph::ops::Conv2d;
use anyhow::{Result, bail, ensure};

impl Network {
    /// Checks one layer against what flows into it, records it and says what flows out.
    pub(super) fn add(&mut self, layer: &Layer, flow: Flow, codes: Option<&[u8]>) -> Result<Flow> {
        let number = |stages: &[Stage], same: fn(&Stage) -> bool| stages.iter().filter(|stage| same(stage)).count() + 1;
        match (layer.clone(), flow) {
            (
                Layer::Conv2d { filters, kernel, stride, padding, batch_norm, activation },
                Flow::Image([channels, height, width]),
            ) => {
                ensure!(filters > 0 && kernel > 0 && stride > 0, "filters, kernel and stride must be at least 1");
                let conv = Conv2d::new(padding, kernel, stride, height, width);
                let name = format!("conv{}", number(&self.stages, |stage| matches!(stage, Stage::Conv { .. })));
                let area = kernel * kernel;
                let role = Role::Weight { fan_in: channels * area, fan_out: filters * area, activation };
                let shape = vec![filters, channels, kernel, kernel];
                let layer = self.weighted(name, shape, role, filters, batch_norm);
                self.stages.push(Stage::Conv { layer, conv, kernel, channels });
                let (height, width) = (conv.rows_out(height, kernel)?, conv.columns_out(width, kernel)?);
                Ok(Flow::Image([filters, height, width]))
            }
            (
                Layer::ConvTranspose2d { filters, kernel, stride, padding, batch_norm, activation },
                Flow::Image([channels, height, width]),
            ) => {
                ensure!(filters > 0 && stride > 0, "filters and stride must be at least 1");
                ensure!(kernel >= stride, "a kernel of {kernel} leaves gaps with a stride of {stride}");
                let size = |size: usize| match padding {
                    Padding::Same => size * stride,
                    Padding::Valid => (size - 1) * stride + kernel,
                };
                let (height, width) = (size(height), size(width));
                let conv = Conv2d::new(padding, kernel, stride, height, width);
                let same = |stage: &Stage| matches!(stage, Stage::ConvTranspose { .. });
                let name = format!("conv-transpose{}", number(&self.stages, same));
                let area = kernel * kernel;
                let fan_in = (channels * area).div_ceil(stride * stride);
                let role = Role::Weight { fan_in, fan_out: filters * area, activation };
                let layer = self.weighted(name, vec![channels, filters, kernel, kernel], role, filters, batch_norm);
                self.stages.push(Stage::ConvTranspose { layer, conv });
                Ok(Flow::Image([filters, height, width]))
            }
            (Layer::Reshape { height, width, channels }, Flow::Vector(values)) => {
                let fits = height * width * channels == values && values > 0;
                ensure!(fits, "{values} values do not fill {height} × {width} × {channels}");
                self.stages.push(Stage::Reshape([channels, height, width]));
                Ok(Flow::Image([channels, height, width]))
            }
            (Layer::MaxPool2d { size }, Flow::Image([channels, height, width])) => {
                ensure!(
                    size > 0 && height >= size && width >= size,
                    "{size} × {size} does not fit into {height} × {width}"
                );
                let name = format!("pool{}", number(&self.stages, |stage| matches!(stage, Stage::Pool { .. })));
                self.stages.push(Stage::Pool { name, size });
                Ok(Flow::Image([channels, height / size, width / size]))
            }
            (Layer::GlobalAveragePool, Flow::Image([channels, ..])) => {
                let name = format!("average{}", number(&self.stages, |stage| matches!(stage, Stage::Average { .. })));
                self.stages.push(Stage::Average { name });
                Ok(Flow::Vector(channels))
            }
            (Layer::Flatten, Flow::Image(shape)) => {
                self.stages.push(Stage::Flatten);
                Ok(Flow::Vector(shape.iter().product()))
            }
            (Layer::Dense { units, batch_norm, activation }, Flow::Vector(inputs)) => {
                ensure!(units > 0, "units must be at least 1");
                let name = format!("dense{}", number(&self.stages, |stage| matches!(stage, Stage::Dense { .. })));
                let role = Role::Weight { fan_in: inputs, fan_out: units, activation };
                let layer = self.weighted(name, vec![units, inputs], role, units, batch_norm);
                self.stages.push(Stage::Dense { layer });
                Ok(Flow::Vector(units))
            }
            (Layer::Dropout { rate }, flow) => {
                ensure!((0.0..1.0).contains(&rate), "a rate is at least 0 and below 1, got {rate}");
                let shape = match flow {
                    Flow::Image(shape) => shape.to_vec(),
                    Flow::Vector(size) | Flow::Sequence(size) => vec![size],
                    Flow::Tokens => bail!("takes values, got tokens; put an embedding before it"),
                };
                let number = number(&self.stages, |stage| matches!(stage, Stage::Dropout { .. }));
                let mask = self.mask(format!("dropout{number}"), shape, rate, false);
                self.stages.push(Stage::Dropout { mask });
                Ok(flow)
            }
            (Layer::Embedding { dimensions }, Flow::Tokens) => self.add_embedding(dimensions, codes),
            (Layer::Lstm { units, recurrent_dropout, drop_connect, pooling }, Flow::Sequence(inputs)) => {
                ensure!(units > 0, "units must be at least 1");
                let name = format!("lstm{}", number(&self.stages, |stage| matches!(stage, Stage::Lstm(_))));
                let role = Role::Weight { fan_in: inputs, fan_out: 4 * units, activation: Activation::Linear };
                let weights = self.parameters.len();
                let mut parameter = |suffix: &str, shape, role| {
                    self.parameters.push(Parameter { name: format!("{name}.{suffix}"), shape, role });
                };
                parameter("weight", vec![4 * units, inputs], role);
                parameter("recurrent", vec![4 * units, units], Role::Recurrent { units });
                parameter("bias", vec![4 * units], Role::Gates { units });
                let state = (recurrent_dropout > 0.0)
                    .then(|| self.mask(format!("{name}.recurrent-dropout"), vec![units], recurrent_dropout, false));
                let weight = (drop_connect > 0.0)
                    .then(|| self.mask(format!("{name}.drop-connect"), vec![4 * units, units], drop_connect, true));
                let lstm = Lstm { name, units, weights, state_mask: state, weight_mask: weight, pooling };
                self.stages.push(Stage::Lstm(lstm));
                Ok(Flow::Vector(units))
            }
            (Layer::Dense { .. }, Flow::Image([channels, height, width])) => {
                bail!("takes a vector, got {channels} × {height} × {width}; put a flatten layer before it")
            }
            (Layer::Dense { .. }, _) => bail!("takes a vector, got a sequence; put an LSTM before it"),
            (Layer::Reshape { .. }, _) => bail!("takes a vector"),
            (Layer::Embedding { .. }, _) => bail!("takes tokens"),
            (Layer::Lstm { .. }, _) => bail!("takes a sequence; put an embedding before it"),
            (_, Flow::Vector(size)) => bail!("takes an image, got a vector of {size}"),
            (_, Flow::Tokens | Flow::Sequence(_)) => bail!("takes an image, got a text"),
        }
    }

    fn add_embedding(&mut self, dimensions: usize, codes: Option<&[u8]>) -> Result<Flow> {
        let Input::Tokens { vocabulary, .. } = self.input else { bail!("takes tokens") };
        ensure!(dimensions > 0, "dimensions must be at least 1");
        let name = "embedding1".to_owned();
        let bytes = codes.map_or(0, |codes| codes.len() / vocabulary);
        let (suffix, shape) = match codes {
            None => ("weight", vec![vocabulary, dimensions]),
            Some(codes) => {
                let fits = codes.len() == bytes * vocabulary && bytes > 0 && dimensions.is_multiple_of(bytes);
                ensure!(fits, "{} codes for {vocabulary} words of {dimensions} values do not fit", codes.len());
                ("codebooks", vec![CODES * bytes, dimensions / bytes])
            }
        };
        let weights = self.parameters.len();
        self.parameters.push(Parameter { name: format!("{name}.{suffix}"), shape, role: Role::Embedding });
        self.stages.push(Stage::Embedding(Embedding {
            name,
            dimensions,
            weights,
            codes: codes.map(<[u8]>::to_vec),
            bytes,
        }));
        Ok(Flow::Sequence(dimensions))
    }

    /// Records a mask; its index.
    fn mask(&mut self, name: String, shape: Vec<usize>, rate: f32, shared: bool) -> usize {
        self.masks.push(Mask { name, shape, rate, shared });
        self.masks.len() - 1
    }

    /// Records weights and, behind them, a bias of `outputs` values or what a batch norm of so many channels has.
    fn weighted(&mut self, name: String, shape: Vec<usize>, role: Role, outputs: usize, norm: bool) -> Weighted {
        const BIAS: &[(&str, Role)] = &[("bias", Role::Bias)];
        const NORM: &[(&str, Role)] =
            &[("scale", Role::Scale), ("shift", Role::Bias), ("mean", Role::Mean), ("variance", Role::Variance)];
        let Role::Weight { activation, .. } = role else { unreachable!("called with the role of weights") };
        let weights = self.parameters.len();
        self.parameters.push(Parameter { name: format!("{name}.weight"), shape, role });
        let behind = if norm { NORM } else { BIAS };
        let parameter = |&(suffix, role)| Parameter { name: format!("{name}.{suffix}"), shape: vec![outputs], role };
        self.parameters.extend(behind.iter().map(parameter));
        Weighted { name, weights, norm, activation }
    }
}
