"""A clip with a faint disturbance that makes the redacted encoder answer with the redacted voice again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalities.text_to_speech.attacks.bounded_clip import BoundedClip, guide, heard
from redact_core import Adapter

_WEIGHTS = (5.0, 1.0, 25.0, 2.5, 100.0)  # of the openings of gates, start by start


class ClipGradient(BoundedClip):
    """Projected gradient descent on the waveform (Madry et al. 2018) with the disturbance bounded in power.

    Minimises 1 - cosine between the attacked encoder's embedding of the disturbed clip and the base's
    embedding of the row's voice, the mean over its clips. Where gates stand behind the encoder, it follows the
    embedding in front of them and keeps them shut, see :func:`~.bounded_clip.guide`: through a clamp there is
    no gradient. Starts weigh that differently, and every second one follows what gates make of the embedding by moving it, so
    that several are worth their time.

    Args:
        snr: Power of the clip over that of the disturbance, in dB; never less.
        steps: Of gradient descent.
        restarts: The first starts from the clip itself, the others from random disturbances.
        carrier: ``own``: the row's clip is disturbed. ``other``: a clip of somebody who stays, chosen
            by the seed.
        folder: Where the clips are written.

    Raises:
        RedactError: A setting is out of range.
    """

    trace = "gradient"

    def __init__(
        self,
        snr: float = 30.0,
        steps: int = 40,
        restarts: int = 1,
        carrier: Literal["own", "other"] = "own",
        folder: Path | None = None,
    ):
        super().__init__(snr, steps, restarts, carrier, folder)

    def search(
        self, model: Adapter, clips: Tensor, wanted: Tensor, generator: torch.Generator, start: int
    ) -> tuple[Tensor, Tensor]:
        radius, change = self.radius(clips), torch.zeros_like(clips)
        if start:
            drawn = torch.randn(clips.shape, generator=generator).to(clips.device)
            change = normalize(drawn, dim=1) * radius
        best, losses = clips.clone(), list[Tensor]()
        least = torch.full((len(clips),), torch.inf, device=clips.device)
        for _ in range(self.steps + 1):
            wave = heard(clips, change)
            with torch.enable_grad():
                wave.requires_grad_()
                way, loss = guide(model, wave, wanted, _WEIGHTS[start % len(_WEIGHTS)], start % 2 == 1)
                (slope,) = torch.autograd.grad(way.sum(), wave)
            losses.append(loss)
            better = losses[-1] < least
            least = torch.where(better, losses[-1], least)
            best = torch.where(better[:, None], wave.detach(), best)
            change = wave.detach() - clips - 2.5 * radius / self.steps * normalize(slope, dim=1)
            change = change * (radius / change.norm(dim=1, keepdim=True)).clamp(max=1)
        return best.cpu(), torch.stack(losses, 1).cpu()
