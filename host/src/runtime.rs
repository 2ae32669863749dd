//! ONNX Runtime: the library, sessions, memory on their device, and plain inference.

use crate::setup;
use anyhow::{Context, Result, anyhow, bail, ensure};
use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{RunOptions, Session, builder::GraphOptimizationLevel, builder::SessionBuilder};
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor, TensorElementType, TensorRef, ValueType};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Where a user wants a model to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Device {
    /// CUDA where it works, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// CUDA, or an error if any part of the model would run on the CPU.
    Cuda,
    /// The same with products in TensorFloat-32: factors of 11 significant bits, several times as fast on cards since 2020.
    CudaTf32,
}

impl Device {
    /// Whether the CPU will not do.
    fn is_cuda(self) -> bool {
        matches!(self, Device::Cuda | Device::CudaTf32)
    }
}

/// Where a session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    Cpu,
    Cuda,
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Provider::Cpu => "cpu",
            Provider::Cuda => "cuda",
        })
    }
}

/// Where the NVIDIA driver shows itself on Linux.
const NVIDIA_DRIVER: &str = "/proc/driver/nvidia/version";

/// The process's environment; the library is loaded on the first call and stays.
///
/// # Errors
/// If the library is missing and cannot be provided, or does not load.
pub fn environment() -> Result<Environment> {
    environment_for(Device::Cpu)
}

/// One process holds one library: the first caller's device decides between the plain one and the one with CUDA.
fn environment_for(device: Device) -> Result<Environment> {
    static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);
    // A panic while the lock was held leaves `None` or a whole environment: both are fine to go on with.
    let mut loaded = ENVIRONMENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let path = library(device)?;
    if let Some(folder) = setup::cuda_libraries(&path) {
        ep::cuda::preload_dylibs(Some(folder), Some(folder)).context("CUDA's libraries do not load")?;
    }
    let load = || -> Result<Environment> { Ok(ort::init_from(&path)?.with_name("thimble").build()?) };
    let environment = load().with_context(|| format!("ONNX Runtime does not load from {}", path.display()))?;
    environment.set_log_level(LogLevel::Error);
    *loaded = Some(environment.clone());
    Ok(environment)
}

fn library(device: Device) -> Result<PathBuf> {
    match device {
        Device::Cpu => setup::onnxruntime(false),
        Device::Cuda | Device::CudaTf32 => setup::onnxruntime(true),
        Device::Auto if Path::new(NVIDIA_DRIVER).exists() => setup::onnxruntime(true).or_else(|error| {
            eprintln!("no CUDA: {error:#}");
            setup::onnxruntime(false)
        }),
        Device::Auto => setup::onnxruntime(false),
    }
}

/// Whether a session for `device` will be tried on CUDA.
pub fn prefers_cuda(device: Device) -> bool {
    // Without a driver there is nothing to try, nor to report.
    device.is_cuda() || (device == Device::Auto && Path::new(NVIDIA_DRIVER).exists())
}

/// Loads `model` (serialized ONNX) for `device`, to be run with bound memory, and says where it runs. `threads`: 0 for one a core.
///
/// # Errors
/// If ONNX Runtime refuses the model, or if `device` is CUDA and some of its nodes would run on the CPU.
pub fn session(model: &[u8], device: Device, threads: usize, launch: Launch) -> Result<(Session, Provider)> {
    let environment = environment_for(device)?;
    if prefers_cuda(device) {
        match cuda(&environment, model, device, Use::Steps(launch)) {
            Ok(session) => return Ok((session, Provider::Cuda)),
            Err(error) if device.is_cuda() => {
                return Err(error.context(
                    "the model does not run on CUDA alone; check the driver with `nvidia-smi` and the libraries with \
                     `host setup --gpu`, or use --device cpu",
                ));
            }
            Err(error) => eprintln!("no CUDA: {error:#}"),
        }
    }
    let mut builder = plain(&environment)?.with_intra_threads(threads).map_err(message)?;
    let session = builder.commit_from_memory(model).context("ONNX Runtime refuses the model")?;
    Ok((session, Provider::Cpu))
}

/// Options for running the binding number `index` of a session.
pub fn run_options(index: usize) -> Result<RunOptions> {
    let mut options = RunOptions::new()?;
    // From 1: graph 0 is that of runs which name none.
    options.set("gpu_graph_id", (index + 1).to_string())?;
    Ok(options)
}

/// How the nodes of a session are started on CUDA; the CPU knows one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// One by one.
    Plain,
    /// The first run with a binding is captured as a CUDA graph, which is replayed from then on: to start a node by itself takes
    /// longer than most nodes do. What is bound has to lie on the device and to stay where it is, and each binding needs
    /// [`run_options`] of its own.
    Captured,
}

/// What a session on CUDA is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The same step again and again, all of it on the device.
    Steps(Launch),
    /// Inputs of any size, from the CPU and back.
    Inference,
}

fn cuda(environment: &Environment, model: &[u8], device: Device, used: Use) -> Result<Session> {
    // Registration fails silently unless told otherwise, and a node without a CUDA kernel would quietly run on the CPU.
    let provider =
        ep::CUDA::default().with_tf32(device == Device::CudaTf32).with_cuda_graph(used == Use::Steps(Launch::Captured));
    let provider = [provider.build().error_on_failure()];
    let mut builder = plain(environment)?.with_execution_providers(provider).map_err(message)?;
    if used != Use::Inference {
        builder = builder.with_disable_cpu_fallback().map_err(message)?;
    }
    Ok(builder.commit_from_memory(model)?)
}

fn plain(environment: &Environment) -> Result<SessionBuilder> {
    Session::builder(environment)?.with_optimization_level(GraphOptimizationLevel::Level3).map_err(message)
}

/// A builder's error holds the builder, which anyhow cannot carry: its text can.
fn message(error: ort::Error<SessionBuilder>) -> anyhow::Error {
    anyhow!("{error}")
}

/// Allocates tensors where a session runs and moves data there and back.
pub struct Memory {
    provider: Provider,
    allocator: Allocator,
}

impl Memory {
    /// Memory of the device that `session` runs on.
    pub fn of(session: &Session, provider: Provider) -> Result<Self> {
        let device = match provider {
            Provider::Cpu => AllocationDevice::CPU,
            Provider::Cuda => AllocationDevice::CUDA,
        };
        let info = MemoryInfo::new(device, 0, AllocatorType::Device, MemoryType::Default)?;
        Ok(Memory { provider, allocator: Allocator::new(session, info)? })
    }

    /// A tensor of unknown content.
    pub fn tensor(&self, shape: &[usize]) -> Result<Tensor<f32>> {
        Ok(Tensor::new(&self.allocator, shape.to_vec())?)
    }

    /// Replaces the content of `tensor`, which bindings that hold it see.
    pub fn write(&self, tensor: &mut Tensor<f32>, data: &[f32]) -> Result<()> {
        match self.provider {
            Provider::Cpu => {
                let (shape, content) = tensor.try_extract_tensor_mut()?;
                ensure!(content.len() == data.len(), "{} values do not fill {shape:?}", data.len());
                content.copy_from_slice(data);
            }
            Provider::Cuda => {
                let shape = tensor.shape().to_vec();
                TensorRef::from_array_view((shape, data))?.copy_into(tensor)?;
            }
        }
        Ok(())
    }

    /// The content of `tensor`.
    pub fn read(&self, tensor: &Tensor<f32>) -> Result<Vec<f32>> {
        Ok(match self.provider {
            Provider::Cpu => tensor.try_extract_tensor()?.1.to_vec(),
            Provider::Cuda => tensor.to(AllocationDevice::CPU, 0)?.try_extract_tensor()?.1.to_vec(),
        })
    }
}

/// One named tensor that a model gave: name, shape, row-major values.
pub type Output = (String, Vec<usize>, Vec<f32>);

/// A model to run on plain slices.
pub struct Inference {
    session: Session,
}

impl Inference {
    /// Loads a `.onnx` file, for the CPU.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_bytes(&bytes).with_context(|| path.display().to_string())
    }

    /// Loads a serialized model, for the CPU.
    pub fn from_bytes(model: &[u8]) -> Result<Self> {
        Ok(Inference { session: session(model, Device::Cpu, 0, Launch::Plain)?.0 })
    }

    /// Loads a serialized model where `device` says, whatever of it has no CUDA kernel on the CPU.
    pub fn on(model: &[u8], device: Device) -> Result<Self> {
        if !prefers_cuda(device) {
            return Self::from_bytes(model);
        }
        Ok(Inference { session: cuda(&environment_for(device)?, model, device, Use::Inference)? })
    }

    /// Runs the model on `inputs` (name, shape, row-major values) and gives all outputs in the model's order; integers are
    /// converted to `f32`.
    pub fn run<T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static>(
        &mut self,
        inputs: &[(&str, &[usize], &[T])],
    ) -> Result<Vec<Output>> {
        let mut values = Vec::with_capacity(inputs.len());
        for (name, shape, data) in inputs {
            let tensor =
                TensorRef::from_array_view((shape.to_vec(), *data)).with_context(|| format!("input {name}"))?;
            values.push((*name, tensor));
        }
        let names: Vec<String> = self.session.outputs().iter().map(|output| output.name().to_owned()).collect();
        let outputs = self.session.run(values)?;
        names.into_iter().map(|name| output(&outputs[name.as_str()], name)).collect()
    }
}

fn output(value: &DynValue, name: String) -> Result<Output> {
    let ValueType::Tensor { ty, .. } = value.dtype() else { bail!("output {name} is no tensor") };
    macro_rules! converted {
        ($element:ty) => {{
            let (shape, data) = value.try_extract_tensor::<$element>()?;
            (shape.to_vec(), data.iter().map(|&value| value as f32).collect())
        }};
    }
    let (shape, data): (Vec<i64>, Vec<f32>) = match ty {
        TensorElementType::Float32 => converted!(f32),
        TensorElementType::Int8 => converted!(i8),
        TensorElementType::Uint8 => converted!(u8),
        TensorElementType::Int32 => converted!(i32),
        TensorElementType::Int64 => converted!(i64),
        other => bail!("output {name} holds {other}, which is not read here"),
    };
    Ok((name, shape.into_iter().map(|size| size as usize).collect(), data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Batch, Graph};

    #[test]
    fn a_model_that_is_none_is_refused() {
        let Err(error) = Inference::from_bytes(b"not a model") else { panic!("accepted") };
        assert!(format!("{error:#}").contains("refuses the model"), "{error:#}");
    }

    #[test]
    fn a_symbolic_batch_takes_any_size() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 2]).unwrap();
        let y = graph.relu(x).unwrap();
        graph.output("y", y).unwrap();
        let mut inference = Inference::from_bytes(&graph.to_bytes(Batch::Symbolic)).unwrap();
        let outputs = inference.run(&[("x", &[3, 2], &[-1.0_f32, 1.0, 2.0, -2.0, 0.0, 3.0])]).unwrap();
        assert_eq!(outputs, [("y".to_owned(), vec![3, 2], vec![0.0, 1.0, 2.0, 0.0, 0.0, 3.0])]);
    }
}
