"""Training steps of stage 1 in the usual PyTorch style: see bench/ours/stage1.ts. Written from the specification, sections 3 to 7."""
import torch
import torch.nn.functional as F
from decoder import Decoder
from discriminator import Discriminator, diff_augment, hinge
from lpips_squeeze import Lpips
from serve import configuration, serve
from start import draw_weights, start_vectors
from vit import ViT

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
