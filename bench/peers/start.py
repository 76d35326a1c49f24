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
