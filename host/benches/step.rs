//! Runs training steps on demand, for `step_vs_pytorch.py`: reads a number of steps a line, runs that many on fixed data,
//! answers with the seconds that they took. Its first line of output says how many nodes the step has. `NET`: see
//! [`nets::case`]. `DEVICE`: `cuda` or `cuda-tf32`; unset, the CPU. `THREADS`: how many of ONNX Runtime's threads a node may use;
//! unset, one a core.

mod nets;

use anyhow::Result;
use host::runtime::Device;
use std::io::{BufRead, Write};
use std::time::Instant;

fn main() -> Result<()> {
    let net = std::env::var("NET").unwrap_or_else(|_| "cnn".into());
    let device = match std::env::var("DEVICE").as_deref() {
        Ok("cuda") => Device::Cuda,
        Ok("cuda-tf32") => Device::CudaTf32,
        _ => Device::Cpu,
    };
    let threads = std::env::var("THREADS").ok().map_or(Ok(0), |threads| threads.parse())?;
    let nets::Case { mut learner, batch } = nets::case(&net, device, threads)?;
    let mut done = 0;
    println!("{} nodes", learner.nodes());
    for line in std::io::stdin().lock().lines() {
        let count: u64 = line?.trim().parse()?;
        let start = Instant::now();
        for _ in 0..count {
            done += 1;
            learner.step(&batch, done, 1.0)?;
        }
        println!("{}", start.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}
