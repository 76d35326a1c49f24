"""Encoder and decoder of stage 1 in inference: see bench/ours/vision.ts. Eager, by torch.compile, or exported and run by onnxruntime."""
import os
import tempfile
import warnings

import torch
from decoder import Decoder
from serve import configuration, serve
from start import draw_weights
from vit import ViT

c = configuration()
e, d = c.get("encoder"), c.get("decoder")
if d:
    network = Decoder(d["channels"], d["width"], d["depth"], d["heads"], d["hidden"], d["patch"], d["tokens"], pictures=False)
else:
    network = ViT(e["width"], e["depth"], e["heads"], e["patch"], e["size"] // e["patch"], e["registers"], e["layerScale"])
torch.manual_seed(0)
draw_weights(network.named_parameters())
network.requires_grad_(False).eval()
x = torch.randn(c["batch"], d["tokens"], d["channels"]) if d else torch.randn(c["batch"], 3, e["size"], e["size"])
bf16 = torch.autocast("cpu", torch.bfloat16, enabled=c["precision"] == "bf16")


def with_torch():
    run = torch.compile(network) if c.get("peer") == "compile" else network

    @torch.no_grad()
    def forward():
        with bf16:
            y = run(x)
        return y.float().square().mean().item()

    return forward, torch.__version__


def with_onnxruntime():
    import onnxruntime

    global network
    warnings.simplefilter("ignore")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = c["threads"]
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "network.onnx")
        torch.onnx.export(network, (x,), file, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    network = None
    name, pixels = session.get_inputs()[0].name, x.numpy()

    def forward():
        return torch.from_numpy(session.run(None, {name: pixels})[0]).square().mean().item()

    return forward, onnxruntime.__version__


forward, version = with_onnxruntime() if c.get("peer") == "onnx" else with_torch()
serve({"forward": forward}, version=version)
