"""LPIPS 0.1 over SqueezeNet 1.1 in the usual PyTorch style. Written from the specification, section 5."""
import torch
import torch.nn.functional as F
from torch import nn


class Fire(nn.Module):
    def __init__(self, inputs, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x), inplace=True)
        return torch.cat([F.relu(self.expand1x1(x), inplace=True), F.relu(self.expand3x3(x), inplace=True)], 1)


class Lpips(nn.Module):
    """LPIPS 0.1 over SqueezeNet 1.1 (names as in torchvision), as the lpips package computes it."""

    CHANNELS = [64, 128, 256, 384, 384, 512, 512]

    def __init__(self):
        super().__init__()
        pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, 2), nn.ReLU(inplace=True), pool(),
            Fire(64, 16, 64), Fire(128, 16, 64), pool(),
            Fire(128, 32, 128), Fire(256, 32, 128), pool(),
            Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
        )  # fmt: skip
        for i, channels in enumerate(self.CHANNELS):
            setattr(self, f"lin{i}", nn.Conv2d(channels, 1, 1, bias=False))
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[None, :, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[None, :, None, None])
        self.requires_grad_(False)

    def activations(self, x):
        x = (x - self.shift) / self.scale
        out = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in (1, 4, 7, 9, 10, 11, 12):
                out.append(x)
        return out

    def forward(self, a, b):
        total = 0
        for i, (fa, fb) in enumerate(zip(self.activations(a), self.activations(b))):
            fa = fa / (fa.norm(dim=1, keepdim=True) + 1e-10)
            fb = fb / (fb.norm(dim=1, keepdim=True) + 1e-10)
            total = total + getattr(self, f"lin{i}")((fa - fb) ** 2).mean([2, 3], keepdim=True)
        return total.flatten()
