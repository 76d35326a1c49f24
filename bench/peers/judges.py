"""Inception's features by torch-fidelity and LPIPS by the lpips package: see bench/ours/judges.ts.

`judges.py write inception|lpips FILE` writes random weights in the package's own names, which both sides then read.
"""
import math
import sys
import types

import torch
from serve import configuration, serve

# Beside a torch without CUDA pip may have put a torchvision with it, whose operators do not load and cannot be registered. They are not used.
sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")


def draw(state):
    """Weights that keep activations alive: norms near 1, kernels by their fan-in, all else small; heads of LPIPS positive."""
    torch.manual_seed(0)
    for name, x in state.items():
        if not x.is_floating_point() or name.startswith("scaling_layer"):
            continue
        if name.endswith(("running_var", "bn.weight")):
            x.uniform_(0.9, 1.1)
        elif name.startswith("lin"):
            x.uniform_(0, 0.1)
        elif x.dim() > 1:
            x.normal_(0, math.sqrt(2 / x[0].numel()))
        else:
            x.normal_(0, 0.05)
    return state


def write(judge, file):
    if judge == "inception":
        from torch_fidelity import feature_extractor_inceptionv3 as module

        module.load_state_dict_from_url = lambda *_, **__: {}
        module.FeatureExtractorInceptionV3.load_state_dict = lambda *_: None
        model = module.FeatureExtractorInceptionV3("inception", ["2048"])
    else:
        import lpips

        model = lpips.LPIPS(net="squeeze", pnet_rand=True, pretrained=False, verbose=False)
    torch.save(draw(model.state_dict()), file)


def inception(c, images):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    model = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=c["weights"])

    @torch.no_grad()
    def run():
        parts = [model(part)[0].mean().item() for part in images.split(c["batch"])]
        return sum(parts) / len(parts)

    return run


def perceptual(c, images, others):
    import lpips

    model = lpips.LPIPS(net="squeeze", pnet_rand=True, pretrained=False, verbose=False)
    model.load_state_dict(torch.load(c["weights"], weights_only=True))

    @torch.no_grad()
    def run():
        pairs = zip(images.split(c["batch"]), others.split(c["batch"]))
        return sum(model(a / 127.5 - 1, b / 127.5 - 1).sum().item() for a, b in pairs) / len(images)

    return run


if sys.argv[1] == "write":
    write(*sys.argv[2:])
else:
    c = configuration()
    torch.manual_seed(0)
    images, others = ((torch.rand(c["pictures"], 3, c["size"], c["size"]) * 256).to(torch.uint8) for _ in range(2))
    serve({"inception": inception(c, images)} if c["judge"] == "inception" else {"lpips": perceptual(c, images, others)})
