"""The data pipeline: JPEGs to batches by ADM's crop, PIL under a DataLoader: see bench/ours/data.ts.

What torchvision's ImageFolder and ToTensor do is written out: its wheel must fit torch's build, which the index does not promise.
"""
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from serve import configuration, serve
from torch.utils.data import DataLoader, Dataset

c = configuration()


def adm_crop(image):
    side = c["side"]
    while min(*image.size) >= 2 * side:
        image = image.resize(tuple(x // 2 for x in image.size), resample=Image.BOX)
    scale = side / min(*image.size)
    image = image.resize(tuple(round(x * scale) for x in image.size), resample=Image.BICUBIC)
    pixels = np.array(image)
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return Image.fromarray(pixels[top : top + side, left : left + side])


class Folder(Dataset):
    def __init__(self, root):
        self.paths = sorted(Path(root).glob("*/*.jpg"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with open(self.paths[index], "rb") as file:
            image = adm_crop(Image.open(file).convert("RGB"))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return pixels.float().div(255), 0


workers = c["threads"]
pictures = Folder(c["folder"])
loader = DataLoader(
    pictures, batch_size=c["batch"], num_workers=workers, prefetch_factor=-(-c["ahead"] // workers), persistent_workers=True
)


def one_pass():
    total = 0.0
    for images, _ in loader:
        total += images.mean().item() * len(images)
    return total / len(pictures)


serve({"pass": one_pass})
