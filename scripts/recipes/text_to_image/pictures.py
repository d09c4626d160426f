"""The emoji artwork as training pictures: concepts and styles, composited on flat backgrounds."""

import csv
import json
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from scripts.experiments.development_data import data_folder

STYLES = {"noto": "noto", "twemoji": "twemoji", "fluent": "fluent_3d"}  # caption word -> archive
BACKGROUNDS = {
    "white": (255, 255, 255),
    "yellow": (250, 214, 70),
    "blue": (96, 156, 238),
    "green": (98, 192, 112),
    "pink": (246, 150, 192),
    "gray": (140, 142, 150),
}
HELD_OUT = {
    "tiger": "noto", "cat": "twemoji", "monkey": "fluent", "wolf": "twemoji", "lion": "fluent",
    "fox": "noto", "hedgehog": "twemoji", "rooster": "fluent", "duck": "noto", "snail": "twemoji",
    "spider": "fluent", "octopus": "noto", "shark": "fluent", "snake": "noto", "rose": "twemoji",
    "palm tree": "fluent", "grapes": "noto", "banana": "twemoji", "cherries": "fluent", "eggplant": "noto",
    "broccoli": "twemoji", "pizza": "noto", "croissant": "twemoji", "sushi": "fluent", "lollipop": "noto",
    "ice cream": "twemoji", "teapot": "fluent", "trumpet": "noto", "screwdriver": "twemoji",
    "key": "fluent", "t-shirt": "twemoji", "top hat": "fluent", "sunglasses": "noto", "taxi": "twemoji",
    "car": "fluent", "airplane": "noto", "chair": "twemoji", "candle": "fluent", "laptop": "noto",
    "basketball": "fluent", "teddy bear": "noto", "gift": "twemoji", "church": "fluent", "snowman": "noto",
    "fire": "twemoji", "hourglass": "fluent", "ring": "noto", "skull": "twemoji", "pumpkin": "noto",
}  # fmt: skip
"""Concept -> the style in which the denoiser never saw it: about a tenth of the pairs."""
SIZE = 32
"""Side of the pictures that stages 1 to 5 learn from; the artwork has 64 pixels, as what the model draws in the end."""
ROOT = Path(__file__).parents[2]


def described() -> dict:
    """Every concept of the vocabulary file, and the names of those that are drawn."""
    path = ROOT / "modalities" / "text_to_image" / "vocabulary.json"
    return json.loads(path.read_text(encoding="utf-8"))


def concepts() -> dict[str, dict]:
    """Concept name -> codepoint, parent and phrasings; the order is the grader's class order."""
    words = described()
    return {name: words["concepts"][name] for name in words["bundled"]}


def artwork(style: str) -> tuple[np.ndarray, dict[str, int]]:
    """All pictures of one style, ``(n, 64, 64, 3)`` uint8, and codepoint -> row."""
    with np.load(data_folder("emoji") / "emoji" / f"{STYLES.get(style, style)}.npz") as archive:
        return archive["images"], {code: i for i, code in enumerate(archive["codepoints"])}


def exterior(image: np.ndarray) -> np.ndarray:
    """Soft mask ``(64, 64)`` in [0, 1] of the white that surrounds the drawing.

    White that touches the border, widened by a pixel and a half: the anti-aliased rim is tinted
    with the background, while white enclosed by the drawing stays white.
    """
    white = image.min(-1) >= 250
    labels, _ = ndimage.label(np.pad(white, 1, constant_values=True))
    outside = (labels == labels[0, 0])[1:-1, 1:-1]
    return np.clip(1.5 - ndimage.distance_transform_edt(~outside) * 0.75, 0, 1)


def on_background(image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """The drawing on a flat colour; ``image`` uint8, ``mask`` from :func:`exterior`."""
    tint = 1 + mask[..., None] * (np.asarray(color, np.float32) / 255 - 1)
    return (image * tint).round().astype(np.uint8)


def shrink(images: torch.Tensor) -> torch.Tensor:
    """``(n, 3, 64, 64)`` floats to ``SIZE`` pixels, by averaging."""
    return torch.nn.functional.avg_pool2d(images, 64 // SIZE)


def held_out(name: str, style: str) -> bool:
    """Is this (concept, style) pair kept from the denoiser, to show that it composes?"""
    return HELD_OUT.get(name) == style


def rows() -> list[dict]:
    """Every (concept, style, background) with its picture; ``held`` marks the unseen pairs."""
    names = concepts()
    out = []
    for s, style in enumerate(STYLES):
        images, index = artwork(style)
        for c, (name, entry) in enumerate(names.items()):
            image = images[index[entry["codepoint"]]]
            mask = exterior(image)
            held = held_out(name, style)
            for b, color in enumerate(BACKGROUNDS.values()):
                picture = on_background(image, mask, color)
                out.append({"concept": c, "style": s, "background": b, "held": held, "image": picture})
    return out


def distractors() -> np.ndarray:
    """Pictures of everything that is *not* a named concept: the grader's class "none of these"."""
    known = {entry["codepoint"] for entry in concepts().values()}
    with (data_folder("emoji") / "emoji" / "metadata.csv").open(encoding="utf-8") as file:
        groups = {row["codepoint"]: row["group"] for row in csv.DictReader(file)}
    found = []
    rng = np.random.default_rng(0)
    colors = list(BACKGROUNDS.values())
    for style in STYLES:
        images, index = artwork(style)
        for code, i in index.items():
            if code not in known and groups[code] != "flags":
                color = colors[rng.integers(len(colors))]
                found.append(on_background(images[i], exterior(images[i]), color))
    return np.stack(found)
