"""The same start on both sides: see bench/ours/start.ts."""
import math
import re

import torch


def draw_weights(named):
    with torch.no_grad():
        for name, p in sorted(named):
            p.normal_(0, math.sqrt(2 / (p.numel() / p.shape[0])) if p.dim() == 4 else 0.02)
            if re.search(r"norm[^.]*\.weight$", name):
                p.add_(1)


def start_vectors(module):
    """The vectors of spectral normalisation: all components equal, so that both sides begin alike."""
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith(("weight_u", "weight_v")):
                buffer.fill_(buffer.numel() ** -0.5)
