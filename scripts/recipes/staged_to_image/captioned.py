"""Fashion-MNIST with captions: names, attributes measured from the pixels, words in front."""

import random

import torch
from torch import Tensor

from modalities.staged_to_image.captions import FRAMES, FRONT, SHADES, SURFACES, fill, phrase
from scripts.recipes.class_to_image.data import NAMES, fashion

CLASSES = dict(
    zip(
        NAMES,
        (
            "tee", "pants", "jumper", "gown", "overcoat", "flip-flop", "blouse", "trainer", "purse", "bootie",
        ),
        strict=True,
    )
)  # fmt: skip
"""Class -> another name for it, which a fifth of the captions use."""


def measured(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Shade and surface of pictures ``(n, 1, 28, 28)`` in [0, 1]: ``(n,)`` mean brightness of what is
    not background, and ``(n,)`` mean step between neighbouring pixels of it."""
    inside = (pictures > 0.08).float()
    area = inside.sum((1, 2, 3)).clamp(min=1)
    shade = (pictures * inside).sum((1, 2, 3)) / area
    both = inside[..., 1:] * inside[..., :-1]
    steps = (pictures.diff(dim=3).abs() * both).sum((1, 2, 3)) / both.sum((1, 2, 3)).clamp(min=1)
    return shade, steps


def thirds(values: Tensor, labels: Tensor) -> Tensor:
    """``(n,)`` 0, 1 or 2: the lowest, middle or highest third within the own class."""
    found = torch.zeros_like(labels)
    for label in labels.unique():
        own = labels == label
        low, high = values[own].quantile(torch.tensor([1 / 3, 2 / 3]))
        found[own] = (values[own] > low).long() + (values[own] > high).long()
    return found


def captioned(part: str) -> tuple[Tensor, Tensor, list[tuple[str, str]]]:
    """Pictures, labels, and for each picture the words for its shade and surface ("" in the middle)."""
    pictures, labels = fashion(part)
    shade, surface = (thirds(values, labels) for values in measured(pictures.float() / 255))
    words = [
        ((SHADES[0], "", SHADES[1])[a], (SURFACES[0], "", SURFACES[1])[b])
        for a, b in zip(shade.tolist(), surface.tolist(), strict=True)
    ]
    return pictures, labels, words


def caption(label: int, attributes: tuple[str, str], rng: random.Random) -> tuple[str, tuple[str, str]]:
    """A random caption in which all that is said is true, and the attributes that it says.

    A quarter has words in front.
    """
    name = NAMES[label]
    noun = CLASSES[name] if rng.random() < 0.2 else name
    frame = rng.choice(FRAMES["seen"] + FRAMES["heldout"])
    shade, surface = (word if rng.random() < 0.7 else "" for word in attributes)
    front = rng.choices(FRONT, k=rng.randint(1, 4)) if rng.random() < 0.25 else []
    return " ".join([*front, fill(frame, phrase(noun, shade, surface))]), (shade, surface)
