"""Thousands of training steps of a tiny model: see bench/ours/steps.ts."""
import torch
import torch.nn.functional as F
from serve import configuration, serve
from start import draw_weights
from torch import nn


class Tiny(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * width)
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


c = configuration()
model = Tiny(c["width"])
torch.manual_seed(0)
draw_weights(model.named_parameters())
x = torch.randn(c["batch"], c["width"])
params = list(model.parameters())
optimizer = torch.optim.AdamW(params, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
ema = [p.detach().clone() for p in params]


def step():
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), x)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    optimizer.step()
    torch._foreach_lerp_(ema, params, 0.01)
    return loss.item()


serve({"step": step})
