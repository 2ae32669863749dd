"""Writes cnn_step.json: three training steps of a small CNN as PyTorch computes them, for `tests/train_step.rs`.

    pip install torch numpy && python cnn_step.py

The net is the digit CNN's shape in small: conv 3x3 'same' + ReLU + max-pool 2 (one input channel: the phase form), the same
again (several channels: the general form, with an odd width, so that the pool leaves a column out), flatten, dense + ReLU,
dropout with a given mask, dense. The images have black borders, as MNIST's do, so that the pools meet exact ties.
Everything is computed in float64; what is stored is rounded to float32, and inputs are rounded before they are used.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

BATCH, HEIGHT, WIDTH, CLASSES = 4, 12, 14, 3
FILTERS, UNITS = (3, 4), 5
SMOOTHING, RATE, STEPS = 0.05, 0.01, 3
torch.set_default_dtype(torch.float64)
random = np.random.default_rng(7)


def rounded(array):
    return np.asarray(array, dtype=np.float32).astype(np.float64)


images = random.random((BATCH, 1, HEIGHT, WIDTH))
images[:, :, :3] = images[:, :, -3:] = 0
images[:, :, :, :3] = images[:, :, :, -4:] = 0
images = rounded(images)
labels = random.integers(0, CLASSES, BATCH)
mask = rounded((random.random((BATCH, UNITS)) < 0.7) / 0.7)
flat = FILTERS[1] * (HEIGHT // 4) * (WIDTH // 2 // 2)
shapes = {
    "conv1.weight": (FILTERS[0], 1, 3, 3),
    "conv1.bias": (FILTERS[0],),
    "conv2.weight": (FILTERS[1], FILTERS[0], 3, 3),
    "conv2.bias": (FILTERS[1],),
    "dense1.weight": (UNITS, flat),
    "dense1.bias": (UNITS,),
    "dense2.weight": (CLASSES, UNITS),
    "dense2.bias": (CLASSES,),
}
start = {name: rounded(random.normal(0, 0.3, shape)) for name, shape in shapes.items()}


def loss(p):
    x = F.max_pool2d(F.relu(F.conv2d(torch.tensor(images), p["conv1.weight"], p["conv1.bias"], padding=1)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, p["conv2.weight"], p["conv2.bias"], padding=1)), 2)
    x = F.relu(F.linear(x.flatten(1), p["dense1.weight"], p["dense1.bias"])) * torch.tensor(mask)
    x = F.linear(x, p["dense2.weight"], p["dense2.bias"])
    return F.cross_entropy(x, torch.tensor(labels), label_smoothing=SMOOTHING)


def optimizer(name, p):
    weights = [v for k, v in p.items() if k.endswith("weight")]
    biases = [v for k, v in p.items() if k.endswith("bias")]
    match name:
        case "sgd":
            return torch.optim.SGD(p.values(), RATE, momentum=0.9)
        case "adam":
            return torch.optim.Adam(p.values(), RATE, (0.9, 0.99), 1e-5)
        case "adamw":
            groups = [{"params": weights, "weight_decay": 0.02}, {"params": biases, "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, RATE, (0.9, 0.99), 1e-5)
        case "adadelta":
            return torch.optim.Adadelta(p.values(), RATE, 0.95, 1e-5)


def values(tensors):
    return {name: [float(f"{v:.9g}") for v in np.float32(t.detach().numpy()).ravel()] for name, t in tensors.items()}


runs = {}
for name in ("sgd", "adam", "adamw", "adadelta"):
    p = {key: torch.tensor(value, requires_grad=True) for key, value in start.items()}
    rule = optimizer(name, p)
    losses = []
    for _ in range(STEPS):
        rule.zero_grad()
        value = loss(p)
        value.backward()
        losses.append(value.item())
        rule.step()
    runs[name] = {"losses": losses, "parameters": values(p)}

p = {key: torch.tensor(value, requires_grad=True) for key, value in start.items()}
loss(p).backward()
document = {
    "torch": torch.__version__.split("+")[0],
    "batch": BATCH,
    "height": HEIGHT,
    "width": WIDTH,
    "filters": FILTERS,
    "units": UNITS,
    "classes": CLASSES,
    "smoothing": SMOOTHING,
    "rate": RATE,
    "images": [float(f"{v:.9g}") for v in np.float32(images).ravel()],
    "labels": labels.tolist(),
    "mask": [float(f"{v:.9g}") for v in np.float32(mask).ravel()],
    "start": values(p),
    "gradients": values({name: tensor.grad for name, tensor in p.items()}),
    "runs": runs,
}
path = Path(__file__).with_suffix(".json")
path.write_text(json.dumps(document, separators=(",", ":")) + "\n")
print(path, path.stat().st_size, "bytes", {name: run["losses"] for name, run in runs.items()})
