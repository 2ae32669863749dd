"""Writes the ONNX files of this folder with PyTorch's exporter: `python export.py`. Made with torch 2.15."""

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    """What people write: batch norm, a residual block, ReLU6, padding by hand, view, mean over axes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.wide = nn.Conv2d(8, 12, 1)
        self.short = nn.Conv2d(8, 12, 1)
        self.hidden = nn.Linear(12 * 9, 16)
        self.head = nn.Linear(16 + 12, 5)

    def forward(self, x):
        x = self.stem(F.pad(x, (0, 1, 0, 1)))
        y = self.wide(F.silu(self.depthwise(x)))
        x = F.hardswish(y + self.short(x))
        pooled = F.avg_pool2d(x, 2, ceil_mode=True)
        hidden = torch.relu(self.hidden(pooled.reshape(pooled.shape[0], -1)))
        return self.head(torch.cat([hidden, x.mean((2, 3))], 1))


class Words(nn.Module):
    """Tokens, two LSTMs, and what the second has in mind at the end."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 12)
        self.lstm = nn.LSTM(12, 20, num_layers=2, batch_first=True)
        self.head = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, tokens):
        _, (state, _) = self.lstm(self.embedding(tokens))
        return self.head(state[-1])


torch.manual_seed(0)
net = Net()
for _ in range(5):
    net(torch.randn(16, 3, 12, 12))
net.eval()
for opset in (13, 18):
    torch.onnx.export(net, torch.zeros(1, 3, 12, 12), f"torch-{opset}.onnx", opset_version=opset, dynamo=False,
                      input_names=["input"], output_names=["logits"])

torch.manual_seed(1)
torch.onnx.export(Words().eval(), torch.zeros(1, 24, dtype=torch.long), "torch-lstm.onnx", opset_version=14, dynamo=False,
                  input_names=["tokens"], output_names=["logits"])
