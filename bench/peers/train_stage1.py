"""Trains the decoder of stage 1 with L1 + LPIPS (SqueezeNet) in the usual PyTorch style, fp32, as `rae train rae --recipe clothing80-rae` does
until its discriminator comes: what docs/results.md sets beside our own runs. The encoder and LPIPS are those that such a run has kept, the pictures
come from `rae eval pack`; initial values, order of the pictures and latent noise are PyTorch's own.
    python bench/peers/train_stage1.py RUN train.npz test.npz --out metrics.jsonl [--steps 3000] [--tau 0] [--threads 1] [--seed 0]
A line every 500 steps: PSNR and LPIPS of the average on the test pictures, the losses since, milliseconds a step."""
import argparse
import json
import math
import struct
import time
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from decoder import Decoder
from lpips_squeeze import Lpips
from vit import ViT

WIDTH, PATCH, BATCH, EVERY = 192, 16, 16, 500

parser = argparse.ArgumentParser()
parser.add_argument("run", type=Path)
parser.add_argument("train")
parser.add_argument("test")
parser.add_argument("--out", required=True)
parser.add_argument("--steps", type=int, default=3000)
parser.add_argument("--tau", type=float, default=0)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(options.seed)


def safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    floats = {name: numpy.frombuffer(data[slice(*t["data_offsets"])], "<f4").reshape(t["shape"]) for name, t in header.items()}
    return {name: torch.from_numpy(array.copy()) for name, array in floats.items()}


def positions(width, side):
    """Column first, then row; a zero row for the class token."""
    omega = 1 / 10000 ** (numpy.arange(width // 4) / (width // 4))
    row, column = (axis.reshape(-1, 1) * omega for axis in numpy.mgrid[:side, :side])
    table = numpy.concatenate([numpy.sin(column), numpy.cos(column), numpy.sin(row), numpy.cos(row)], axis=1)
    return torch.tensor(numpy.concatenate([numpy.zeros((1, width)), table]), dtype=torch.float32)[None]


def resized(table, side):
    """A position table with a class token to another grid, as timm does it."""
    old = math.isqrt(table.shape[1] - 1)
    grid = table[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (side, side), mode="bicubic", antialias=True)
    return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


train, test = (torch.from_numpy(numpy.load(path)["arr_0"]).permute(0, 3, 1, 2).contiguous() for path in (options.train, options.test))
side = train.shape[-1] // PATCH

weights = safetensors(options.run / "encoder.safetensors")
weights["pos_embed"] = resized(weights["pos_embed"], side)
encoder = ViT(WIDTH, 12, 3, PATCH, side).requires_grad_(False).eval()
unused = {name for name in weights if name.startswith(("head", "norm."))}
encoder.load_state_dict({name: tensor for name, tensor in weights.items() if name not in unused})
lpips = Lpips().eval()
lpips.load_state_dict({**lpips.state_dict(), **safetensors(options.run / "lpips.safetensors")})

decoder = Decoder(WIDTH, WIDTH, 6, 3, 4 * WIDTH, PATCH, side * side)
decoder.decoder_pos_embed.data = positions(WIDTH, side)
parameters = list(decoder.parameters())
optimizer = torch.optim.AdamW(parameters, lr=4e-4, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
average = [p.detach().clone() for p in parameters]
mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def decode(z):
    return decoder(z) * std + mean


@torch.no_grad()
def judge():
    """The average in the decoder's place: mean PSNR and LPIPS of the test pictures."""
    trained = [p.detach().clone() for p in parameters]
    torch._foreach_copy_(parameters, average)
    psnr, distance = [], []
    for batch in test.split(64):
        pictures = batch / 255
        made = decode(encoder((pictures - mean) / std)).clamp(0, 1)
        psnr.append(-10 * (made - pictures).double().square().mean([1, 2, 3]).clamp_min(1e-10).log10())
        distance.append(lpips(pictures * 2 - 1, made * 2 - 1))
    torch._foreach_copy_(parameters, trained)
    return {"psnr": torch.cat(psnr).mean().item(), "lpips": torch.cat(distance).mean().item()}


order, sums, spent = torch.empty(0, dtype=torch.long), [0.0, 0.0], 0.0
with open(options.out, "w") as out:
    for step in range(1, options.steps + 1):
        started = time.process_time()
        if len(order) < BATCH:
            order = torch.randperm(len(train))
        chosen, order = order[:BATCH], order[BATCH:]
        pictures = train[chosen] / 255
        for group in optimizer.param_groups:
            group["lr"] = 4e-4 * min(1, step / 100)
        with torch.no_grad():
            latents = encoder((pictures - mean) / std)
            if options.tau > 0:
                latents = latents + options.tau * torch.rand(BATCH, 1, 1) * torch.randn_like(latents)
        made = decode(latents)
        l1, perceptual = F.l1_loss(made, pictures), lpips(pictures * 2 - 1, made * 2 - 1).mean()
        optimizer.zero_grad()
        (l1 + perceptual).backward()
        optimizer.step()
        decay = min(0.998, step / (9 + step))
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 1 - decay)
        sums = [sums[0] + l1.item(), sums[1] + perceptual.item()]
        spent += time.process_time() - started
        if step % EVERY == 0:
            losses = {"loss/recon": sums[0] / EVERY, "loss/lpips": sums[1] / EVERY}
            line = {"step": step, **losses, **judge(), "cpu_ms_per_step": 1000 * spent / EVERY}
            print(json.dumps(line), file=out, flush=True)
            print(line, flush=True)
            sums, spent = [0.0, 0.0], 0.0
