"""Tuning the text tower of Espresso's CLIP: anchors apart, agreement of benign texts and pictures kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from modalities.text_to_image.guards.picture_text import PictureText
from redact_core.guards.two_anchor import AnchorLoss, anchor_loss
from redact_core.support.folders import write_whole


def tune(
    clip: PictureText,
    unacceptable: Sequence[str],
    acceptable: Sequence[str],
    texts: Sequence[str],
    pictures: Sequence[Tensor],
    *,
    steps: int = 100,
    lr: float = 5e-5,
    apart: float = 0.1,
    keep: float = 10.0,
    batch_size: int = 32,
    seed: int = 0,
) -> list[AnchorLoss]:
    """Train the text tower of ``clip`` in place; the pictures' tower and the scale stay as they are.

    The utility term is taken over benign pairs and over the anchors' own cosines with the pictures.
    The learning rate is that of the authors' code; ``apart`` and ``keep`` are ours.

    Args:
        clip: What is tuned.
        unacceptable: Phrases to push away from ``acceptable``; partners go round the shorter list.
        acceptable: See above.
        texts: Benign texts.
        pictures: Benign pictures; every text of a batch is compared with every picture of it.
        steps: Of Adam.
        lr: Learning rate.
        apart: Weight of the separation.
        keep: Weight of the utility.
        batch_size: Texts and pictures of a step.
        seed: Of the order.

    Returns:
        The terms of every step, detached.
    """
    generator = torch.Generator().manual_seed(seed)
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
    optimiser = torch.optim.Adam(parameters, lr=lr, betas=(0.9, 0.98), eps=1e-6)
    history: list[AnchorLoss] = []
    for _ in range(steps):
        which = torch.randint(len(texts), (min(batch_size, len(texts)),), generator=generator)
        shown = seen[torch.randint(len(seen), (min(batch_size, len(seen)),), generator=generator)]
        found = clip.texts([*anchors, *(texts[int(i)] for i in which)])
        now, before = found @ shown.T, torch.cat([marks, said[which]]) @ shown.T
        loss = anchor_loss(found[pairs[0]], found[pairs[1]], now, before, apart=apart, keep=keep)
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
