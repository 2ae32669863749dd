"""Writes conv_transpose.json: a transposed convolution and its gradients as PyTorch computes them.

python3 host/tests/vectors/conv_transpose.py > host/tests/vectors/conv_transpose.json   (PyTorch 2)
"""
import json

import torch


def wave(step, *shape):
    return torch.sin(torch.arange(torch.Size(shape).numel(), dtype=torch.float32) * step).reshape(shape)


x, weights, bias = (tensor.requires_grad_() for tensor in (wave(0.7, 2, 3, 3, 5), wave(0.3, 3, 4, 4, 4), wave(1.1, 4)))
y = torch.nn.functional.conv_transpose2d(x, weights, bias, stride=2, padding=1)
y.backward(wave(0.9, *y.shape))
tensors = {"y": y, "dx": x.grad, "dweights": weights.grad, "dbias": bias.grad}
print(json.dumps({name: [round(value, 6) for value in tensor.flatten().tolist()] for name, tensor in tensors.items()}))
