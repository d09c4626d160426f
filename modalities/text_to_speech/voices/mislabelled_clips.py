"""Is every clip of a voice really of that voice? A clip of somebody who stays would redact that person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

PER_VOICE = 2
"""Clips of a retained voice that are embedded; a warning is worth seconds, not a tenth of the training."""


def misplaced(
    clips: Sequence[Path], others: Sequence[Path], embed: Callable[[Path], Tensor]
) -> dict[Path, str]:
    """Clips that sound more like a retained voice than like the rest of their own folder.

    Args:
        clips: Of one redacted voice; fewer than three tell nothing, and nothing is returned.
        others: Clips of retained voices; a voice is a parent folder, its first :data:`PER_VOICE`
            clips are embedded.
        embed: Clip -> ``(dim,)`` of length 1, by a verifier that is not the encoder to be redacted.

    Returns:
        Clip -> name of the folder that it sounds like.
    """
    if len(clips) < 3 or not others:
        return {}
    own = torch.stack([embed(clip) for clip in clips])
    voices: dict[str, list[Path]] = {}
    for clip in others:
        voices.setdefault(clip.parent.name, []).append(clip)
    names = list(voices)
    heard = [torch.stack([embed(clip) for clip in found[:PER_VOICE]]).mean(0) for found in voices.values()]
    prototypes = normalize(torch.stack(heard), dim=1)
    found = {}
    for i, clip in enumerate(clips):
        rest = normalize(torch.cat([own[:i], own[i + 1 :]]).mean(0), dim=0)
        likeness = prototypes @ own[i]
        if likeness.max() > rest @ own[i]:
            found[clip] = names[int(likeness.argmax())]
    return found
