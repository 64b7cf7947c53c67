"""Makes tests/golden/torchvision_models.json: names, shapes and outputs of torchvision's networks.

Parameters come from the generator of tests/golden/README.md, so that none are stored. Run with PyTorch 1.13 and
torchvision 0.14 or later:   python3 tests/golden-tools/torchvision_models.py > tests/golden/torchvision_models.json
"""
import hashlib
import json
import math
import sys
import zlib

import numpy as np
import torch
import torchvision
from torch import nn

SEED = 7
CLASSES = 10


def words(key, count):
    a = (np.uint64(key) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x6D2B79F5)) & np.uint64(0xFFFFFFFF)
    a = a.astype(np.uint32)
    t = (a ^ (a >> np.uint32(15))) * (a | np.uint32(1))
    t = t ^ (t + ((t ^ (t >> np.uint32(7))) * (t | np.uint32(61))))
    return t ^ (t >> np.uint32(14))


def uniform(low, high, name, shape):
    key = (zlib.crc32(name.encode()) ^ SEED) & 0xFFFFFFFF
    u = words(key, int(np.prod(shape))).astype(np.float64)
    return torch.from_numpy((low + (high - low) * u / 2**32).astype(np.float32).reshape(shape))


def state_of(model):
    return {name: t for name, t in model.state_dict().items() if not name.endswith('num_batches_tracked')}


def fill(model, gain):
    for name, t in state_of(model).items():
        shape = tuple(t.shape)
        if name.endswith('running_mean'):
            bounds = (-0.1, 0.1)
        elif name.endswith('running_var'):
            bounds = (1, 1.5)
        elif name.endswith('bias'):
            bounds = (-0.1, 0.1)
        elif len(shape) == 1:
            bounds = (0.8, 1.2)
        else:
            b = gain * math.sqrt(6 / np.prod(shape[1:]))
            bounds = (-b, b)
        t.copy_(uniform(*bounds, name, shape))


def layout(model):
    """SHA-256 of the sorted lines `name size,size,..`."""
    lines = sorted(f"{name} {','.join(map(str, t.shape))}" for name, t in state_of(model).items())
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest(), len(lines)


class DoubleConv(nn.Sequential):
    def __init__(self, i, o):
        half = lambda c: [nn.Conv2d(c, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
        super().__init__(*half(i), *half(o))


class Up(nn.Module):
    def __init__(self, i):
        super().__init__()
        self.up = nn.ConvTranspose2d(i, i // 2, 2, stride=2)
        self.conv = DoubleConv(i, i // 2)


class UNet(nn.Module):
    """The U-Net of nn/models/unet.ts."""

    def __init__(self, width, depth, classes):
        super().__init__()
        c = [width * 2**i for i in range(depth)]
        self.down = nn.ModuleList(DoubleConv(c[i - 1] if i else 3, c[i]) for i in range(depth))
        self.up = nn.ModuleList(Up(i) for i in reversed(c[1:]))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for level in self.up:
            x = level.conv(torch.cat([skips.pop(), level.up(x)], 1))
        return self.head(x)


def case(name, model, gain, size, output=lambda model, x: model(x), published=None):
    fill(model, gain)
    model.double().eval()
    x = uniform(0, 1, 'input', (1, 3, size, size)).double()
    values = output(model, x).flatten().tolist()
    digest, count = layout(published or model)
    parameters = sum(p.numel() for p in (published or model).parameters())
    print(name, count, parameters, min(values), max(values), file=sys.stderr)
    return {
        'name': name,
        'layout': digest,
        'tensors': count,
        'parameters': parameters,
        'gain': gain,
        'imageSize': size,
        'output': [float(f'{v:.9g}') for v in values],
    }


def make():
    t = torchvision.models
    for depth, gain in [(18, 0.8), (34, 0.7), (50, 0.6), (101, 0.5), (152, 0.45)]:
        yield case(f'resnet{depth}', getattr(t, f'resnet{depth}')(num_classes=CLASSES), gain, 32)
    for depth in [121, 161, 169, 201]:
        yield case(f'densenet{depth}', getattr(t, f'densenet{depth}')(num_classes=CLASSES), 0.8, 32)
    # The dense layers of all VGGs are alike and large: the output is that of the convolutions, [512].
    for depth in [11, 13, 16, 19]:
        for bn in ['', '_bn']:
            model = getattr(t, f'vgg{depth}{bn}')(num_classes=CLASSES, init_weights=False)
            yield case(f'vgg{depth}{bn}', model, 0.9, 32, lambda model, x: model.features(x))
    published = t.vit_b_16(num_classes=CLASSES)
    yield case('vit_b_16', t.vit_b_16(num_classes=CLASSES, image_size=32), 0.5, 32, published=published)
    small = t.VisionTransformer(
        image_size=32, patch_size=4, num_layers=6, num_heads=4, hidden_dim=128, mlp_dim=256, num_classes=CLASSES
    )
    yield case('vit_small', small, 0.7, 32)
    yield case('unet', UNet(4, 3, 1), 0.8, 8)


with torch.no_grad():
    cases = list(make())
versions = f'PyTorch {torch.__version__}, torchvision {torchvision.__version__}'
print(json.dumps({'provenance': f'{versions}, float64', 'seed': SEED, 'classes': CLASSES, 'cases': cases}))
