"""A pre-norm transformer block, forward and backward: see bench/ours/block.ts."""
import torch
from serve import configuration, serve
from start import draw_weights
from vit import Block

c = configuration()
block = Block(c["width"], c["heads"], c["hidden"], 1e-6)
torch.manual_seed(0)
draw_weights(block.named_parameters())
x = torch.randn(c["batch"], c["tokens"], c["width"], requires_grad=True)


def step():
    mean = block(x).square().mean()
    mean.backward()
    for p in [x, *block.parameters()]:
        p.grad = None
    return mean.item()


serve({"block": step})
