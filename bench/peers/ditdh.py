"""DiT^DH in plain PyTorch: what the stage-2 bench compares with. Written from the specification (section 8.2), in the usual eager style.

A training step, a forward pass, and sampling the reference's way (the whole batch doubled at every step), beside bench/ours/stage2.ts.
"""
import math

import torch
import torch.nn.functional as F
from serve import configuration, serve
from start import draw_weights
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return wide.type_as(x) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x):
        a, b = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(a) * b)


class Rope(nn.Module):
    def __init__(self, head_dim, side):
        super().__init__()
        half = head_dim // 2
        omega = 1.0 / (10000 ** (torch.arange(0, half, 2).float() / half))
        axis = (torch.arange(side).float()[:, None] * omega).repeat_interleave(2, dim=-1)
        rows = axis[:, None].expand(side, side, half)
        columns = axis[None].expand(side, side, half)
        angles = torch.cat([rows, columns], dim=-1).reshape(side * side, head_dim)
        self.register_buffer("freqs_cos", angles.cos())
        self.register_buffer("freqs_sin", angles.sin())

    def forward(self, x):
        first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack([-second, first], dim=-1).flatten(-2)
        return x * self.freqs_cos + turned * self.freqs_sin


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x, rope):
        B, N, D = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(rope(q), rope(k), v)
        return self.proj(y.transpose(1, 2).reshape(B, N, D))


def modulate(x, shift, scale):
    return x * (1 + scale) + shift


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = RMSNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = RMSNorm(width)
        self.mlp = SwiGLU(width, int(2 / 3 * int(4 * width)))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, c, rope):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(c).chunk(6, dim=-1)
        x = x + gate1 * self.attn(modulate(self.norm1(x), shift1, scale1), rope)
        return x + gate2 * self.mlp(modulate(self.norm2(x), shift2, scale2))


class FinalLayer(nn.Module):
    def __init__(self, width, channels):
        super().__init__()
        self.norm_final = RMSNorm(width)
        self.linear = nn.Linear(width, channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x, c):
        shift, scale = self.adaLN_modulation(c).chunk(2, dim=-1)
        return self.linear(modulate(self.norm_final(x), shift, scale))


class PatchEmbed(nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        self.proj = nn.Conv2d(channels, width, 1)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class TimestepEmbedder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.W = nn.Parameter(torch.randn(256))
        self.mlp = nn.Sequential(nn.Linear(512, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t):
        angles = t[:, None] * self.W[None] * 2 * math.pi
        return self.mlp(torch.cat([angles.sin(), angles.cos()], dim=-1))


class LabelEmbedder(nn.Module):
    def __init__(self, classes, width, dropout):
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, width)
        self.classes, self.dropout = classes, dropout

    def forward(self, y):
        if self.training:
            y = torch.where(torch.rand(y.shape[0]) < self.dropout, self.classes, y)
        return self.embedding_table(y)


class DiTDH(nn.Module):
    def __init__(self, c):
        super().__init__()
        (width, head_width), (depth, head_depth), (heads, head_heads) = c["hiddenSize"], c["depth"], c["numHeads"]
        side = c["inputSize"]
        self.side, self.depth = side, depth
        self.pos_embed = nn.Parameter(torch.zeros(1, side * side, width))
        self.x_embedder = PatchEmbed(c["inChannels"], head_width)
        self.s_embedder = PatchEmbed(c["inChannels"], width)
        self.s_projector = nn.Linear(width, head_width) if width != head_width else nn.Identity()
        self.t_embedder = TimestepEmbedder(width)
        self.y_embedder = LabelEmbedder(c["numClasses"], width, 0.1)
        self.enc_feat_rope = Rope(width // heads, side)
        self.dec_feat_rope = Rope(head_width // head_heads, side)
        self.blocks = nn.ModuleList(
            [Block(width, heads) for _ in range(depth)] + [Block(head_width, head_heads) for _ in range(head_depth)]
        )
        self.final_layer = FinalLayer(head_width, c["inChannels"])

    def forward(self, x, t, y):
        te = self.t_embedder(t)
        c = F.silu(te + self.y_embedder(y))[:, None]
        s = self.s_embedder(x) + self.pos_embed
        for block in self.blocks[: self.depth]:
            s = block(s, c, self.enc_feat_rope)
        s = self.s_projector(F.silu(te[:, None] + s))
        h = self.x_embedder(x)
        for block in self.blocks[self.depth :]:
            h = block(h, s, self.dec_feat_rope)
        return self.final_layer(h, s).transpose(1, 2).reshape(x.shape)


c = configuration()
model = DiTDH(c).train()
run = torch.compile(model) if c.get("peer") == "compile" else model
torch.manual_seed(0)
draw_weights(model.named_parameters())
params = list(model.parameters())
optimizer = torch.optim.AdamW(params, lr=2e-4, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
ema = None  # made by the first step: sampling has none
bf16 = torch.autocast("cpu", torch.bfloat16, enabled=c["precision"] == "bf16")
B, C, side = c["batch"], c["inChannels"], c["inputSize"]
shift = math.sqrt(max(4096, C * side * side) / 4096)
data = torch.randn(B, C, side, side)
y = torch.arange(B) % c["numClasses"]


def step():
    global ema
    if ema is None:
        ema = [p.detach().clone() for p in params]
    noise = torch.randn(B, C, side, side)
    t = torch.rand(B) * 0.999
    t = shift * t / (1 + (shift - 1) * t)
    over = t[:, None, None, None]
    xt = (1 - over) * data + over * noise
    optimizer.zero_grad()
    with bf16:
        v = run(xt, t, y)
    loss = (v - (noise - data)).square().flatten(1).mean(1).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    optimizer.step()
    torch._foreach_lerp_(ema, params, 0.0005)
    return loss.item()


def forward():
    with torch.no_grad(), bf16:
        model.eval()
        v = run(data, torch.full((B,), 0.5), y)
        model.train()
        return v.float().square().mean().item()


def sample(guidance=None, low=0.0, high=1.0, scale=1.5):
    """Euler steps, 49 when not told otherwise, from `data` as noise. `guidance` maps the network's output for [x, x] to the guided half."""
    times = 1 - torch.linspace(0, 0.999, c.get("times", 50))
    times = shift * times / (1 + (shift - 1) * times)
    model.eval()
    with torch.no_grad(), bf16:
        x = data if guidance is None else torch.cat([data, data])
        labels = y if guidance is None else torch.cat([y, torch.full((B,), c["numClasses"])])
        for t, following in zip(times[:-1], times[1:]):
            if guidance is not None:
                x = torch.cat([x[:B], x[:B]])
            t_all = t.expand(x.shape[0])
            v = run(x, t_all, labels).float()
            if guidance is not None:
                half = guidance(x, t_all, labels, v, scale if low <= t <= high else 1.0)
                v = torch.cat([half, half])
            x = x + (following - t) * v
    model.train()
    return x[:B].square().mean().item()


def cfg(x, t, labels, v, scale):
    main, unconditional = v.chunk(2)
    return unconditional + scale * (main - unconditional)


guide = None


def auto(x, t, labels, v, scale):
    weak = guide(x, t, labels).float()[:B]
    return weak + scale * (v[:B] - weak)


def sample_auto():
    global guide
    if guide is None:
        guide = DiTDH(c).eval()
        torch.manual_seed(1)
        draw_weights(guide.named_parameters())
    return sample(auto)


works = {"step": step, "forward": forward, "sample": sample, "sample-cfg": lambda: sample(cfg, 0.2, 0.8), "sample-auto": sample_auto}
serve(works, parameters=sum(p.numel() for p in params))
