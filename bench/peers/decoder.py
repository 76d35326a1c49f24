"""The decoder of stage 1 in the usual PyTorch style (the reference's names). Written from the specification, section 4."""
import torch
import torch.nn.functional as F
from torch import nn


class DecoderLayer(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        dense = nn.Linear
        self.attention = nn.ModuleDict(
            {
                "attention": nn.ModuleDict({name: dense(width, width) for name in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": dense(width, width)}),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": dense(width, hidden)})
        self.output = nn.ModuleDict({"dense": dense(hidden, width)})
        self.layernorm_before = nn.LayerNorm(width, eps=1e-12)
        self.layernorm_after = nn.LayerNorm(width, eps=1e-12)
        self.heads = heads

    def forward(self, h):
        B, N, D = h.shape
        x = self.layernorm_before(h)
        maps = self.attention["attention"]
        q, k, v = (maps[name](x).view(B, N, self.heads, D // self.heads).transpose(1, 2) for name in maps)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, D)
        h = h + self.attention["output"]["dense"](y)
        return h + self.output["dense"](F.gelu(self.intermediate["dense"](self.layernorm_after(h))))


class Decoder(nn.Module):
    def __init__(self, channels, width, depth, heads, hidden, patch, tokens, pictures=True):
        super().__init__()
        self.pictures = pictures
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, 1 + tokens, width))
        self.trainable_cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.decoder_embed = nn.Linear(channels, width)
        self.decoder_layers = nn.ModuleList([DecoderLayer(width, heads, hidden) for _ in range(depth)])
        self.decoder_norm = nn.LayerNorm(width, eps=1e-12)
        self.decoder_pred = nn.Linear(width, patch**2 * 3)
        self.patch = patch

    def forward(self, tokens):
        B, N, _ = tokens.shape
        x = torch.cat([self.trainable_cls_token.expand(B, -1, -1), self.decoder_embed(tokens)], dim=1)
        x = x + self.decoder_pos_embed
        for layer in self.decoder_layers:
            x = layer(x)
        x = self.decoder_pred(self.decoder_norm(x))[:, 1:]
        if not self.pictures:
            return x
        side, p = int(N**0.5), self.patch
        x = x.reshape(B, side, side, p, p, 3).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(B, 3, side * p, side * p)
