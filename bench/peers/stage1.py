"""Training steps of stage 1 in the usual PyTorch style: see bench/ours/stage1.ts. Written from the specification, sections 3 to 7."""
import torch
import torch.nn.functional as F
from discriminator import Discriminator, diff_augment, hinge
from serve import configuration, serve
from start import draw_weights, start_vectors
from torch import nn
from vit import ViT


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
    def __init__(self, channels, width, depth, heads, hidden, patch, tokens):
        super().__init__()
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
        side, p = int(N**0.5), self.patch
        x = x.reshape(B, side, side, p, p, 3).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(B, 3, side * p, side * p)


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


c = configuration()
size, batch, e, d = c["size"], c["batch"], c["encoder"], c["decoder"]
side = size // e["patch"]
encoder = ViT(e["width"], e["depth"], e["heads"], e["patch"], side).requires_grad_(False).eval()
decoder = Decoder(e["width"], d["width"], d["depth"], d["heads"], d["hidden"], e["patch"], side * side)
lpips = Lpips().eval()
torch.manual_seed(0)
for module in (encoder, decoder, lpips):
    draw_weights(module.named_parameters())
images = torch.rand(batch, 3, size, size)
mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

params = list(decoder.parameters())
optimizer = torch.optim.AdamW(params, lr=4e-4, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
ema = [p.detach().clone() for p in params]
bf16 = torch.autocast("cpu", torch.bfloat16, enabled=c["precision"] == "bf16")
updates = 0




def encode(x):
    with torch.no_grad():
        return encoder((x - mean) / std)


def decode(z):
    return decoder(z) * std + mean


def noisy(z):
    strength = torch.rand(batch, 1, 1) * 0.4
    return z + strength * torch.randn_like(z)


def reconstruction_loss(recon):
    return F.l1_loss(recon, images) + lpips(images * 2 - 1, recon * 2 - 1).mean()


def update():
    global updates
    optimizer.step()
    decay = min(0.995, (1 + updates) / (10 + updates))
    torch._foreach_lerp_(ema, params, 1 - decay)
    updates += 1


def step():
    optimizer.zero_grad()
    with bf16:
        loss = reconstruction_loss(decode(noisy(encode(images))))
    loss.backward()
    update()
    return loss.item()


works = {"step": step}

if "disc" in c:
    trunk = ViT(e["width"], e["depth"], e["heads"], e["patch"], c["disc"]["side"] // e["patch"]).requires_grad_(False).eval()
    disc = Discriminator(trunk, c["disc"]["side"], e["width"], c["disc"]["depths"], c["disc"]["kernel"])
    torch.manual_seed(1)  # building them has drawn numbers, too
    for module in (trunk, disc):
        draw_weights(module.named_parameters())
    start_vectors(disc)
    disc_optimizer = torch.optim.AdamW(disc.parameters(), lr=2e-4, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    augmenting = torch.Generator().manual_seed(1)
    last_layer = decoder.decoder_pred.weight

    def adversarial():
        # Generator, the discriminator in evaluation mode.
        optimizer.zero_grad()
        disc.eval().requires_grad_(False)
        with bf16:
            recon = decode(noisy(encode(images)))
            loss = reconstruction_loss(recon)
        shown = diff_augment(recon.float() * 2 - 1, augmenting)
        with bf16:
            logits = disc(shown)
        gan = -logits.mean()
        by_recon = torch.autograd.grad(loss, last_layer, retain_graph=True)[0]
        by_gan = torch.autograd.grad(gan, last_layer, retain_graph=True)[0]
        weight = (by_recon.norm() / (by_gan.norm() + 1e-6)).clamp(0, 1e4).detach()
        total = loss + 0.75 * weight * gan
        total.backward()
        update()
        # Discriminator, by fresh reconstructions without noise.
        disc.train().requires_grad_(True)
        disc_optimizer.zero_grad()
        with torch.no_grad():
            with bf16:
                recon = decode(encode(images))
            recon = (recon.float() * 2 - 1).clamp(-1, 1)
            recon = ((recon + 1) * 127.5).round() / 127.5 - 1
            fake, real = diff_augment(recon, augmenting), diff_augment(images * 2 - 1, augmenting)
        with bf16:
            logits_fake = disc(fake)
            logits_real = disc(real)
        disc_loss = hinge(logits_real, logits_fake)
        disc_loss.backward()
        disc_optimizer.step()
        return total.item() + disc_loss.item()

    works["adversarial"] = adversarial


serve(works, parameters=sum(p.numel() for p in params))
