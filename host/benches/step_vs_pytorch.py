"""Time of a training step of the digit CNN: Thimble's ONNX graph against PyTorch.

    pip install torch numpy && python host/benches/step_vs_pytorch.py [--rounds 15] [--steps 20] [--threads 2]

Method: the same net (conv 3x3x32 ReLU, pool, conv 3x3x64 ReLU, pool, dense 128 ReLU, dense 10), batch 128,
Adam, softmax cross-entropy, float32, data that stay the same and are in memory; loss read after every step on both sides.
`benches/step.rs` runs Thimble's steps in a process of its own. Rounds alternate: some steps of Thimble, as many of PyTorch's
default form, as many of PyTorch's fastest form (channels_last, fused Adam), so that a drift of the machine's speed meets
all three. Two rounds warm up; reported are each one's median and the median of the rounds' ratios.

Run it on an idle machine: load slows PyTorch down far more than ONNX Runtime, which flatters the ratio. The load average is
printed with the result; above 0.5 the result is worth nothing.
"""

import argparse
import os
import statistics
import subprocess
import time
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=15)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--threads", type=int, default=os.cpu_count())
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
load = os.getloadavg()[0]

root = Path(__file__).resolve().parents[2]
command = ["cargo", "bench", "--quiet", "--package", "host", "--bench", "step"]
environment = {**os.environ, "THREADS": str(arguments.threads)}
subprocess.run([*command, "--no-run"], cwd=root, check=True)
thimble = subprocess.Popen(command, cwd=root, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
nodes = thimble.stdout.readline().strip()


def thimble_steps(count):
    thimble.stdin.write(f"{count}\n")
    thimble.stdin.flush()
    return float(thimble.stdout.readline())


def pytorch(fast):
    layers = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU()]
    layers += [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10)]
    net = nn.Sequential(*layers)
    images = torch.zeros(128, 1, 28, 28)
    images[:, :, 4:24, 4:24] = torch.rand(128, 1, 20, 20)
    labels = torch.arange(128) % 10
    if fast:
        net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=fast)

    def steps(count):
        start = time.perf_counter()
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
            loss.item()
        return time.perf_counter() - start

    return steps


contenders = {"thimble": thimble_steps, "pytorch default": pytorch(False), "pytorch fastest": pytorch(True)}
times = {name: [] for name in contenders}
for number in range(arguments.rounds + 2):
    for name, steps in contenders.items():
        seconds = steps(arguments.steps)
        if number >= 2:
            times[name].append(1000 * seconds / arguments.steps)
thimble.stdin.close()
thimble.wait()

print(f"{nodes}, PyTorch {torch.__version__}, {arguments.threads} threads, load average before {load:.2f}")
for name, milliseconds in times.items():
    ratio = statistics.median(theirs / ours for ours, theirs in zip(times["thimble"], milliseconds))
    print(f"{name:16} {statistics.median(milliseconds):7.2f} ms a step   {ratio:5.2f} x Thimble's time")
