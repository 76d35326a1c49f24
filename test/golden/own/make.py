"""Fixtures of our own, for what the reference implementation does not have: python3 test/golden/own/make.py
Needs torch and transformers (made with 2.13.0 and 5.24.0). Same layout as the other fixtures; weights are random and tiny.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import DINOv3ViTConfig, DINOv3ViTModel

FOLDER = Path(__file__).parent / "models"
SIZES = [(16, 16), (24, 24), (16, 24), (36, 20)]
LAYERS = [0, 2]


def random_model(config):
    """Weights large enough that every part shows in the output: LayerScale, biases and norms included."""
    model = DINOv3ViTModel(DINOv3ViTConfig(**config)).eval()
    for name, parameter in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            parameter.data = 1 + 0.3 * torch.randn_like(parameter)
        elif "lambda1" in name:
            parameter.data = 0.5 + 0.3 * torch.randn_like(parameter)
        elif parameter.ndim > 1 and "token" not in name:
            parameter.data = torch.randn_like(parameter) / parameter[0].numel() ** 0.5
        else:
            parameter.data = 0.3 * torch.randn_like(parameter)
    return model


def published_keys(model):
    """The keys of published files: save_pretrained leaves out the inner `model.`."""
    return {key.removeprefix("model."): value.contiguous() for key, value in model.state_dict().items()}


def make(name, seed, **extra):
    torch.manual_seed(seed)
    config = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "patch_size": 4,
        "image_size": 16,
        "num_register_tokens": 4,
        **extra,
    }
    model = random_model(config)
    tensors = {f"weights/{key}": value for key, value in published_keys(model).items()}
    affine = model.norm
    plain = torch.nn.LayerNorm(config["hidden_size"], eps=affine.eps, elementwise_affine=False)
    prefix = 1 + config["num_register_tokens"]
    calls = []
    with torch.no_grad():
        for height, width in SIZES:
            size = f"{height}x{width}"
            pixels = torch.randn(2, 3, height, width)
            tensors[f"inputs/pixel_values_{size}"] = pixels
            first = (height, width) == SIZES[0]
            model.norm = torch.nn.Identity()
            hidden = model(pixels, output_hidden_states=True)
            blocks = list(hidden.hidden_states[1:-1]) + [hidden.last_hidden_state]  # tokens after every block
            if first:
                for i, tokens in enumerate([hidden.hidden_states[0], *blocks]):
                    tensors[f"debug/{size}/{'embeddings' if i == 0 else f'layer.{i - 1}'}"] = tokens.clone()
            results = {f"tokens_{size}": {"normalize": True}}
            if first:
                results[f"tokens_{size}_affine"] = {"normalize": False}
                results[f"tokens_{size}_layers"] = {"layers": LAYERS, "add_mean": False}
                results[f"tokens_{size}_layers_mean"] = {"layers": LAYERS, "add_mean": True}
            for output, how in results.items():
                norm = plain if how.get("normalize", True) else affine
                chosen = [norm(blocks[i])[:, prefix:] for i in how.get("layers", [len(blocks) - 1])]
                tokens = torch.stack(chosen).mean(0)
                if how.get("add_mean"):
                    tokens = tokens + chosen[-1].mean(1, keepdim=True)
                tensors[f"outputs/{output}"] = tokens
                call = {"output": f"outputs/{output}", "args": {"pixel_values": f"pixel_values_{size}"}, **how}
                calls.append({**call, "debug": size} if first and output == f"tokens_{size}" else call)
            model.norm = affine
            if first:
                assert torch.equal(tensors[f"outputs/tokens_{size}_affine"], model(pixels).last_hidden_state[:, prefix:])
    save_file({key: value.contiguous().clone() for key, value in tensors.items()}, FOLDER / f"{name}.safetensors")
    return {
        "name": name,
        "kind": "encoder",
        "what": "transformers' DINOv3ViTModel, its patch tokens; layers as RAEv2 averages them",
        "file": f"{name}.safetensors",
        "config": {"hf_class": "DINOv3ViTModel", "hf_config": config, "calls": calls},
        "tolerance": {"outputs": {"atol": 2e-5, "rtol": 1e-4}},
        "notes": "float32; the final norm without weight and bias unless normalize is false",
    }


def table_of_dino():
    """DINO's interpolate_pos_encoding: a scale factor with 0.1 patches added, bicubic, no antialias."""
    torch.manual_seed(3)
    table = torch.randn(1, 6 * 6, 5)
    tensors = {"inputs/table": table}
    for rows, columns in [(4, 4), (9, 9), (5, 8)]:
        plane = table.reshape(1, 6, 6, 5).permute(0, 3, 1, 2)
        factor = ((rows + 0.1) / 6, (columns + 0.1) / 6)
        out = torch.nn.functional.interpolate(plane, scale_factor=factor, mode="bicubic")
        assert out.shape[-2:] == (rows, columns)
        tensors[f"outputs/{rows}x{columns}"] = out.permute(0, 2, 3, 1).reshape(1, rows * columns, 5)
    save_file({key: value.contiguous() for key, value in tensors.items()}, FOLDER / "table-dino.safetensors")
    return {
        "name": "table-dino",
        "kind": "table-resize",
        "what": "a position table at other grids as DINO v1 computes it",
        "file": "table-dino.safetensors",
        "config": {"from": [6, 6], "to": [[4, 4], [9, 9], [5, 8]], "resize": "bicubic-offset"},
        "tolerance": {"outputs": {"atol": 1e-6, "rtol": 1e-5}},
    }


FOLDER.mkdir(exist_ok=True)
entries = [
    make("encoder-dinov3", 1),
    make("encoder-dinov3-swiglu", 2, use_gated_mlp=True, hidden_act="silu", rope_theta=50.0),
    table_of_dino(),
]
manifest = {"area": "models", "fixtures": entries}
(FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
