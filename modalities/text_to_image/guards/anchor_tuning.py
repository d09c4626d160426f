"""Tuning the text tower of Espresso's CLIP: anchors apart, agreement of benign texts and pictures kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from modalities.text_to_image.guards.picture_text import PictureText
from redact_core.guards.two_anchor import AnchorLoss, anchor_loss
from redact_core.support.folders import write_whole
from redact_core.support.whole_numbers import WholeNumbers


@dataclass(frozen=True)
class Tuning(WholeNumbers):
    """Of :func:`tune`. The learning rate is that of the authors' code; ``apart`` and ``keep`` are ours."""

    steps: int = 100
    """Of Adam."""
    lr: float = 5e-5
    """Learning rate."""
    apart: float = 0.1
    """Weight of the separation."""
    keep: float = 10.0
    """Weight of the utility."""
    batch_size: int = 32
    """Texts and pictures of a step."""
    seed: int = 0
    """Of the order."""


def tune(
    clip: PictureText,
    unacceptable: Sequence[str],
    acceptable: Sequence[str],
    texts: Sequence[str],
    pictures: Sequence[Tensor],
    tuning: Tuning,
) -> list[AnchorLoss]:
    """Train the text tower of ``clip`` in place; the pictures' tower and the scale stay as they are.

    The utility term is taken over benign pairs and over the anchors' own cosines with the pictures.

    Args:
        clip: What is tuned.
        unacceptable: Phrases to push away from ``acceptable``; partners go round the shorter list.
        acceptable: See above.
        texts: Benign texts.
        pictures: Benign pictures; every text of a batch is compared with every picture of it.
        tuning: Steps and weights.

    Returns:
        The terms of every step, detached.
    """
    generator = torch.Generator().manual_seed(tuning.seed)
    anchors = [*unacceptable, *acceptable]
    n = max(len(unacceptable), len(acceptable))
    pairs = [
        [i % len(unacceptable) for i in range(n)],
        [len(unacceptable) + i % len(acceptable) for i in range(n)],
    ]
    with torch.no_grad():
        seen, said, marks = clip.pictures(pictures), clip.texts(texts), clip.texts(anchors)
    parameters = clip.text_parameters()
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(parameters, lr=tuning.lr, betas=(0.9, 0.98), eps=1e-6)
    history: list[AnchorLoss] = []
    for _ in range(tuning.steps):
        which = torch.randint(len(texts), (min(tuning.batch_size, len(texts)),), generator=generator)
        shown = seen[torch.randint(len(seen), (min(tuning.batch_size, len(seen)),), generator=generator)]
        found = clip.texts([*anchors, *(texts[int(i)] for i in which)])
        now, before = found @ shown.T, torch.cat([marks, said[which]]) @ shown.T
        loss = anchor_loss(
            found[pairs[0]], found[pairs[1]], now, before, apart=tuning.apart, keep=tuning.keep
        )
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        history.append(AnchorLoss(*(term.detach() for term in loss)))
    for parameter in parameters:
        parameter.requires_grad_(False)
    return history


def save_tower(clip: PictureText, path: Path) -> None:
    """Write the text tower of ``clip`` as a safetensors file for ``Espresso(tower=...)``."""
    write_whole(path, save(clip.text_state(), metadata={"format": "pt"}))
