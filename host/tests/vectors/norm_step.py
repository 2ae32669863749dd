"""Writes norm_step.json: three training steps of a small CNN with batch norm as PyTorch computes them, for
`tests/norm_step.rs`.

    pip install torch numpy && python norm_step.py

The net is a VGG in small, on colour images: conv 3x3 'same' + batch norm + max-pool 2 + ReLU, conv + batch norm + ReLU, mean
over all places, dense. Scales of both signs stand in front of the pool. Everything is computed in float64; what is stored is
rounded to float32, and inputs are rounded before they are used. `statistics` are the running means behind the steps, with the
decays that `host train` uses: min(0.99, (1 + t) / (10 + t)) at step t, and the variance over all values, not all but one.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

BATCH, HEIGHT, WIDTH, CLASSES = 4, 6, 8, 3
FILTERS = (4, 5)
RATE, STEPS, EPSILON = 0.01, 3, 1e-5
torch.set_default_dtype(torch.float64)
random = np.random.default_rng(11)


def rounded(array):
    return np.asarray(array, dtype=np.float32).astype(np.float64)


images = rounded(random.random((BATCH, 3, HEIGHT, WIDTH)))
labels = random.integers(0, CLASSES, BATCH)
shapes = {
    "conv1.weight": (FILTERS[0], 3, 3, 3),
    "conv1.scale": (FILTERS[0],),
    "conv1.shift": (FILTERS[0],),
    "conv2.weight": (FILTERS[1], FILTERS[0], 3, 3),
    "conv2.scale": (FILTERS[1],),
    "conv2.shift": (FILTERS[1],),
    "dense1.weight": (CLASSES, FILTERS[1]),
    "dense1.bias": (CLASSES,),
}
start = {name: rounded(random.normal(0, 0.5, shape)) for name, shape in shapes.items()}
start["conv1.scale"] = rounded([1.0, -0.5, 0.8, 1.2])


def loss(p, statistics=None, step=0):
    def norm(x, layer):
        if statistics is not None:
            rest = 1 - min(0.99, (1 + step) / (10 + step))
            for name, value in (("mean", x.mean((0, 2, 3))), ("variance", x.var((0, 2, 3), correction=0))):
                running = statistics[f"{layer}.{name}"]
                running += rest * (value.detach() - running)
        return F.batch_norm(x, None, None, p[f"{layer}.scale"], p[f"{layer}.shift"], training=True, eps=EPSILON)

    x = norm(F.conv2d(torch.tensor(images), p["conv1.weight"], padding=1), "conv1")
    x = F.max_pool2d(F.relu(x), 2)
    x = F.relu(norm(F.conv2d(x, p["conv2.weight"], padding=1), "conv2")).mean((2, 3))
    return F.cross_entropy(F.linear(x, p["dense1.weight"], p["dense1.bias"]), torch.tensor(labels))


def values(tensors):
    return {name: [float(f"{v:.9g}") for v in np.float32(t.detach().numpy()).ravel()] for name, t in tensors.items()}


p = {key: torch.tensor(value, requires_grad=True) for key, value in start.items()}
loss(p).backward()
gradients = values({name: tensor.grad for name, tensor in p.items()})

p = {key: torch.tensor(value, requires_grad=True) for key, value in start.items()}
statistics = {}
for layer, filters in zip(("conv1", "conv2"), FILTERS):
    statistics[f"{layer}.mean"] = torch.zeros(filters)
    statistics[f"{layer}.variance"] = torch.ones(filters)
rule = torch.optim.SGD(p.values(), RATE, momentum=0.9)
losses = []
for step in range(1, STEPS + 1):
    rule.zero_grad()
    value = loss(p, statistics, step)
    value.backward()
    losses.append(value.item())
    rule.step()
document = {
    "torch": torch.__version__.split("+")[0],
    "batch": BATCH,
    "height": HEIGHT,
    "width": WIDTH,
    "filters": FILTERS,
    "classes": CLASSES,
    "rate": RATE,
    "images": [float(f"{v:.9g}") for v in np.float32(images).ravel()],
    "labels": labels.tolist(),
    "start": values({name: torch.tensor(value) for name, value in start.items()}),
    "gradients": gradients,
    "losses": losses,
    "parameters": values(p),
    "statistics": values(statistics),
}
path = Path(__file__).with_suffix(".json")
path.write_text(json.dumps(document, separators=(",", ":")) + "\n")
print(path, path.stat().st_size, "bytes", losses)
