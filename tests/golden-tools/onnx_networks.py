"""Small networks as PyTorch's exporter writes them, with what PyTorch computes: tests/golden/onnx_*.{onnx,json}.

Run with PyTorch 1.13 (the numbers of the files in the repository):  python3 tests/golden-tools/onnx_networks.py tests/golden
Parameters are set by a formula, so that other versions of PyTorch make the same networks.
"""
import json
import sys

import torch
from torch import nn
import torch.nn.functional as F


class Plain(nn.Module):
    """Convolution, BatchNorm, ReLU, pool, view() by the size of the batch, dense layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 4 * 4, 3)

    def forward(self, x):
        y = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return self.fc(y.view(y.size(0), -1))


class Block(nn.Module):
    """A residual block with a shortcut, a gate per channel, pools of both kinds, dropout and a depthwise convolution."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU6())
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 1)
        self.shortcut = nn.Sequential(nn.Conv2d(4, 6, 1, bias=False), nn.BatchNorm2d(6))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 6, 1), nn.Hardsigmoid())
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))

    def forward(self, x):
        y = F.max_pool2d(self.stem(x), 3, 2, ceil_mode=True)
        y = self.conv2(F.silu(self.bn1(self.conv1(y)))) + self.shortcut(F.hardswish(y))
        y = F.relu(y * self.gate(y))
        return self.head(F.adaptive_avg_pool2d(self.pool(y), 1).flatten(1))


class Attention(nn.Module):
    """One layer of a vision transformer, in opset 14: LayerNorm and GELU are taken to pieces."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.heads = heads
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, 5, width))
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, 3)

    def attend(self, x):
        n, t, e = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, e // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q * (e // self.heads) ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, t, e))

    def forward(self, x):
        y = self.patches(x).flatten(2).transpose(1, 2)
        y = torch.cat([self.token.expand(x.shape[0], -1, -1), y], dim=1) + self.position
        y = y + self.attend(self.norm1(y))
        y = y + self.mlp(self.norm2(y))
        return self.head(y[:, 0])


def fill(model):
    """Numbers that are neither 0 nor 1, by a formula."""
    k = 0
    for name, t in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        index = torch.arange(k, k + t.numel(), dtype=torch.float64)
        k += t.numel()
        noise = torch.sin(1.7 * (index + 1)).reshape(t.shape)
        base = 1 if name.endswith("running_var") or (t.dim() == 1 and name.endswith("weight")) else 0
        spread = (3 / t[0].numel()) ** 0.5 if t.dim() > 1 else 0.2
        t.copy_(base + spread * noise)


def main(folder):
    preserve = torch.onnx.TrainingMode.PRESERVE
    networks = {
        # BatchNorm folded into the convolution, as the exporter does by default.
        "plain": (Plain(), (8, 8), {}),
        # BatchNorm as a node of its own, weights under their names.
        "block": (Block(), (12, 12), {"training": preserve, "do_constant_folding": False}),
        "attention": (Attention(), (8, 8), {"opset_version": 14}),
    }
    for name, (model, size, options) in networks.items():
        model.eval()
        with torch.no_grad():
            fill(model)
            x = 0.5 + 0.49 * torch.sin(2.3 * torch.arange(2 * 3 * size[0] * size[1], dtype=torch.float64) + 0.4)
            x = x.reshape(2, 3, *size)
            expected = model.double()(x)
            model.float()
        path = f"{folder}/onnx_{name}.onnx"
        axes = {"image": {0: "batch"}, "scores": {0: "batch"}}
        torch.onnx.export(
            model, x[:1].float(), path, input_names=["image"], output_names=["scores"], dynamic_axes=axes, **options
        )
        facts = {"made with": f"PyTorch {torch.__version__}", "shape": list(x.shape), "scores": expected.tolist()}
        with open(f"{folder}/onnx_{name}.json", "w") as file:
            json.dump(facts, file)
            file.write("\n")


main(sys.argv[1])
