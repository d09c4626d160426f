"""A tiny random staged text-to-image model, written to disk."""

from pathlib import Path

import torch

from modalities.staged_to_image import model_folder
from modalities.staged_to_image.captions import vocabulary

CLASSES = {"cup": "mug", "hat": "cap", "sock": "stocking", "vase": "pot"}
CONFIG = {
    "architecture": "staged-vae", "classes": CLASSES, "words": vocabulary([*CLASSES, *CLASSES.values()]),
    "dim": 16, "extra": 0, "latent": 4, "width": 8,
}  # fmt: skip


def tiny_staged(folder: Path) -> Path:
    torch.manual_seed(0)
    conditioner, generator = model_folder.build(CONFIG)
    folder.mkdir(parents=True)
    model_folder.write(folder, CONFIG, conditioner, generator)
    return folder
