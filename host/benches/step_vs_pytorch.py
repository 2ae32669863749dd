"""Time of a training step: Thimble's ONNX graph against PyTorch.

    pip install torch numpy && python host/benches/step_vs_pytorch.py [--net cnn|lstm|autoencoder|gan|vgg16]
        [--device cpu|cuda|cuda-tf32] [--rounds 15] [--steps 20] [--threads 2] [--program PATH]

cnn: conv 3x3x32 ReLU, pool, conv 3x3x64 ReLU, pool, dense 128 ReLU, dense 10; batch 128, softmax cross-entropy; against
PyTorch's default form and its fastest (channels_last, fused Adam).
lstm: embedding 20,000 x 128, LSTM 128, dense 1 over 80 words; batch 64, binary cross-entropy. With dropout 0.2 on input and
state, against a loop over PyTorch's operators (nn.LSTM has no dropout on the state); without, against nn.LSTM.
autoencoder, gan, vgg16: the recipes' layers, vgg16 without its dropout; batch 128; against the same forms as cnn. A step of the
GAN is one of both nets, and the discriminator learns from what the generator drew in its own step, on both sides.
On CUDA, a form by torch.compile comes with all but the LSTM. `cuda` computes in float32 on both sides, `cuda-tf32` allows
TensorFloat-32 in every product and convolution on both sides (PyTorch by itself allows it in convolutions alone).

Method: Adam, float32, data and masks that stay the same and are in memory; loss read after every step on both sides.
`benches/step.rs` runs Thimble's steps in a process of its own. Rounds alternate between all contenders, so that a drift of the
machine's speed meets all of them. Two rounds warm up; reported are each one's median and the median of the rounds' ratios.

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
parser.add_argument("--net", choices=["cnn", "lstm", "autoencoder", "gan", "vgg16"], default="cnn")
parser.add_argument("--device", choices=["cpu", "cuda", "cuda-tf32"], default="cpu")
parser.add_argument("--rounds", type=int, default=15)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--program", type=Path, help="benches/step.rs, already built; without it, cargo builds it")
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
torch.set_default_device(arguments.device.removesuffix("-tf32"))
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = arguments.device == "cuda-tf32"
load = os.getloadavg()[0]
root = Path(__file__).resolve().parents[2]
if arguments.program:
    command = [arguments.program.resolve()]
else:
    command = ["cargo", "bench", "--quiet", "--package", "host", "--bench", "step"]
    subprocess.run([*command, "--no-run"], cwd=root, check=True)


class Thimble:
    """Steps of Thimble, in a process of its own."""

    def __init__(self, net):
        environment = {**os.environ, "THREADS": str(arguments.threads), "NET": net, "DEVICE": arguments.device}
        pipe = subprocess.PIPE
        self.batch = 64 if net.startswith("lstm") else 128
        self.process = subprocess.Popen(command, cwd=root, env=environment, text=True, stdin=pipe, stdout=pipe)
        self.nodes = self.process.stdout.readline().strip()

    def __call__(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def pytorch(net, loss_of, fused=False):
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=fused)

    def steps(count):
        start = time.perf_counter()
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(net)
            loss.backward()
            optimizer.step()
            loss.item()
        return time.perf_counter() - start

    return steps


def cnn(**form):
    layers = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU()]
    layers += [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10)]
    net = nn.Sequential(*layers)
    images = torch.zeros(128, 1, 28, 28)
    images[:, :, 4:24, 4:24] = torch.rand(128, 1, 20, 20)
    return classifier(net, images, **form)


def vgg16(**form):
    layers, channels = [], 3
    for block in ([64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3):
        for filters in block:
            convolution = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
            layers, channels = [*layers, convolution, nn.BatchNorm2d(filters), nn.ReLU()], filters
        layers.append(nn.MaxPool2d(2))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)]
    return classifier(nn.Sequential(*layers, *head), torch.rand(128, 3, 32, 32), **form)


def autoencoder(**form):
    layers = [nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 784)]
    images = torch.rand(128, 1, 28, 28)
    return learner(nn.Sequential(*layers), images, lambda out: F.binary_cross_entropy_with_logits(out, images.flatten(1)), **form)


def classifier(net, images, **form):
    labels = torch.arange(len(images)) % 10
    return learner(net, images, lambda logits: F.cross_entropy(logits, labels), **form)


def learner(net, images, criterion, fast=False, compiled=False):
    if fast:
        net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    if compiled:
        net = torch.compile(net)
    return pytorch(net, lambda net: criterion(net(images)), fused=fast)


def gan(fast=False, compiled=False):
    up = lambda: [nn.ConvTranspose2d(128, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(0.2)]
    dense = [nn.Linear(128, 6272, bias=False), nn.BatchNorm1d(6272), nn.LeakyReLU(0.2), nn.Unflatten(1, (128, 7, 7))]
    generator = nn.Sequential(*dense, *up(), *up(), nn.Conv2d(128, 1, 7, padding=3), nn.Tanh())
    down = [nn.Conv2d(1, 64, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 3, 2, 1, bias=False), nn.BatchNorm2d(128)]
    head = [nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(6272, 256), nn.LeakyReLU(0.2), nn.Linear(256, 11)]
    discriminator = nn.Sequential(*down, *head)
    images, latents = torch.rand(128, 1, 28, 28) * 2 - 1, torch.randn(128, 128)
    # The first latent values say what to draw, which the last ten logits have to tell.
    classes = torch.arange(128) % 10
    latents[:, :10] = 2 * F.one_hot(classes, 10)
    ones, targets = torch.ones(128, 1), torch.cat([torch.full((128, 1), 0.9), torch.zeros(128, 1)])
    if fast:
        generator, discriminator = (net.to(memory_format=torch.channels_last) for net in (generator, discriminator))
    optimizers = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999), fused=fast) for net in (generator, discriminator)]
    weights = list(discriminator.parameters())
    if compiled:
        generator, discriminator = torch.compile(generator), torch.compile(discriminator)

    def steps(count):
        start = time.perf_counter()
        for _ in range(count):
            for weight in weights:
                weight.requires_grad_(False)
            optimizers[0].zero_grad(set_to_none=True)
            drawn = generator(latents)
            logits = discriminator(drawn)
            deceiving = F.binary_cross_entropy_with_logits(logits[:, :1], ones) + F.cross_entropy(logits[:, 1:], classes)
            deceiving.backward()
            optimizers[0].step()
            deceiving.item()
            for weight in weights:
                weight.requires_grad_(True)
            optimizers[1].zero_grad(set_to_none=True)
            # Each kind alone, because of the batch norm.
            of_images, of_drawn = discriminator(images), discriminator(drawn.detach())
            telling = F.binary_cross_entropy_with_logits(torch.cat([of_images[:, :1], of_drawn[:, :1]]), targets)
            telling = telling + F.cross_entropy(of_images[:, 1:], classes)
            telling.backward()
            optimizers[1].step()
            telling.item()
        return time.perf_counter() - start

    return steps


class Sentiment(nn.Module):
    """`masks`: of input [N, 1, D] and state [N, H], or none."""

    def __init__(self, masks):
        super().__init__()
        self.embedding, self.lstm, self.head = nn.Embedding(20_000, 128), nn.LSTM(128, 128, batch_first=True), nn.Linear(128, 1)
        self.masks = masks

    def forward(self, tokens):
        x = self.embedding(tokens)
        if self.masks is None:
            return self.head(self.lstm(x)[1][0][0])
        x = x * self.masks[0]
        z = F.linear(x, self.lstm.weight_ih_l0, self.lstm.bias_ih_l0 + self.lstm.bias_hh_l0).transpose(0, 1)
        h = c = torch.zeros(len(tokens), 128)
        for step in z:
            i, f, g, o = (step + (h * self.masks[1]) @ self.lstm.weight_hh_l0.T).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.head(h)


def lstm(masked):
    tokens = (torch.arange(64 * 80) * 7919 % 20_000).reshape(64, 80)
    targets = (torch.arange(64) % 2).float()[:, None]
    mask = lambda *shape: (torch.rand(*shape) > 0.2) / 0.8
    net = Sentiment([mask(64, 1, 128), mask(64, 128)] if masked else None)
    return pytorch(net, lambda net: F.binary_cross_entropy_with_logits(net(tokens), targets))


# Of each pair, the second is measured against the first.
if arguments.net != "lstm":
    net = {"cnn": cnn, "autoencoder": autoencoder, "gan": gan, "vgg16": vgg16}[arguments.net]
    contenders = {"thimble": Thimble(arguments.net), "pytorch default": net(), "pytorch fastest": net(fast=True)}
    if arguments.device != "cpu":
        contenders["pytorch compiled"] = net(fast=True, compiled=True)
    pairs = [("thimble", name) for name in contenders if name != "thimble"]
else:
    contenders = {"thimble, dropout": Thimble("lstm"), "pytorch, loop with dropout": lstm(True)}
    contenders |= {"thimble, plain": Thimble("lstm-plain"), "pytorch, nn.LSTM": lstm(False)}
    pairs = [("thimble, dropout", "pytorch, loop with dropout"), ("thimble, plain", "pytorch, nn.LSTM")]
    pairs += [("thimble, dropout", "pytorch, nn.LSTM")]
times = {name: [] for name in contenders}
for number in range(arguments.rounds + 2):
    for name, steps in contenders.items():
        seconds = steps(arguments.steps)
        if number >= 2:
            times[name].append(1000 * seconds / arguments.steps)

batch = next(steps.batch for steps in contenders.values() if isinstance(steps, Thimble))
nodes = ", ".join(steps.nodes for steps in contenders.values() if isinstance(steps, Thimble))
print(f"{nodes}, PyTorch {torch.__version__}, {arguments.threads} threads, load average before {load:.2f}")
for name, milliseconds in times.items():
    median = statistics.median(milliseconds)
    print(f"{name:28} {median:7.2f} ms a step, {1000 * batch / median:7.0f} samples a second")
for ours, theirs in pairs:
    ratio = statistics.median(b / a for a, b in zip(times[ours], times[theirs]))
    print(f"{theirs} takes {ratio:.2f} times as long as {ours}")
