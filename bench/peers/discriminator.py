"""The discriminator of stage 1, its augmentation and losses in the usual PyTorch style. Written from the specification, sections 5 and 6."""
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import spectral_norm


class BatchNormLocal(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x):
        x = x.float()
        mean = x.mean(2, keepdim=True)
        var = x.var(2, keepdim=True, unbiased=False)
        x = (x - mean) / torch.sqrt(var + self.eps)
        return x * self.weight[None, :, None] + self.bias[None, :, None]


def block(width, kernel):
    conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, padding_mode="circular")
    return nn.Sequential(spectral_norm(conv), BatchNormLocal(width), nn.LeakyReLU(0.2))


class Residual(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, x):
        return (self.fn(x) + x) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """`trunk` is a ViT of vit.py; its last block's tokens and those of `key_depths` each have a head."""

    def __init__(self, trunk, side, width, key_depths, kernel):
        super().__init__()
        self.trunk = (trunk,)  # not a part of the state
        self.side = side
        self.key_depths = key_depths
        self.heads = nn.ModuleList(
            nn.Sequential(block(width, 1), Residual(block(width, kernel)), spectral_norm(nn.Conv1d(width, 1, 1)))
            for _ in range(len(key_depths) + 1)
        )
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[None, :, None, None])
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[None, :, None, None])

    def forward(self, x):
        x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
        x = x * (0.5 / self.std) + (0.5 - self.mean) / self.std
        taps = self.trunk[0].taps(x, [len(self.trunk[0].blocks) - 1, *self.key_depths])
        return torch.cat([head(tap).flatten(1) for head, tap in zip(self.heads, taps)], dim=1).float()


def diff_augment(x, generator):
    """Translation and colour, both certain; cutout of size 0."""
    B, _, H, W = x.shape
    torch.rand(3, generator=generator)
    u = torch.rand(7, B, 1, 1, generator=generator)
    dy, dx = round(H * 0.125), round(W * 0.125)
    rows = torch.arange(H)[None, :, None] + (u[0] * (2 * dy + 1)).floor().long() - dy + 1
    columns = torch.arange(W)[None, None, :] + (u[1] * (2 * dx + 1)).floor().long() - dx + 1
    padded = F.pad(x, [1, 1, 1, 1]).permute(0, 2, 3, 1)
    batch = torch.arange(B)[:, None, None]
    x = padded[batch, rows.clamp(0, H + 1), columns.clamp(0, W + 1)].permute(0, 3, 1, 2)
    x = x + (u[2][:, None] - 0.5)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * u[3][:, None]) + grey
    level = x.mean([1, 2, 3], keepdim=True)
    return (x - level) * (u[4][:, None] + 0.5) + level


def hinge(real, fake):
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())
