"""Fashion-MNIST as tensors."""

import gzip

import numpy as np
import torch

from scripts.experiments.development_data import data_folder

NAMES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


def fashion(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures ``(n, 1, 28, 28)`` uint8 and labels ``(n,)`` of ``train`` or ``t10k``."""
    folder = data_folder("fashion-mnist") / "fashion-mnist"
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        pictures = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return torch.from_numpy(pictures.copy()), torch.from_numpy(labels.astype(np.int64))
