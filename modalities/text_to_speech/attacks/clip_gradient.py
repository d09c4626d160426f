"""A clip with a faint disturbance that lets the redacted encoder hear the redacted voice again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalities.text_to_speech.attacks.clip_attack import ClipAttack
from modalities.text_to_speech.attacks.voices import cloner, embed, others, targets
from redact_core import Access, Adapter, Attempt, PlanRow, RedactError

_BATCH = 8
_LOUDEST = 0.99  # louder clips would be refused as clipped


class ClipGradient(ClipAttack):
    """Projected gradient descent on the waveform (Madry et al. 2018) with the disturbance bounded in power.

    Minimises 1 - cosine between the attacked encoder's embedding of the disturbed clip and the base's
    embedding of the row's voice, the mean over its clips.

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

    access: ClassVar[Access] = "encoder gradient"
    adaptive = True

    def __init__(
        self,
        snr: float = 30.0,
        steps: int = 40,
        restarts: int = 1,
        carrier: Literal["own", "other"] = "own",
        folder: Path | None = None,
    ):
        super().__init__(folder)
        if not 0 <= snr <= 100:
            raise RedactError(f"snr is {snr}; give 0 to 100 dB.")
        for name, value in (("steps", steps), ("restarts", restarts)):
            if value < 1:
                raise RedactError(f"{name} is {value}; give at least 1.")
        self.snr, self.steps, self.restarts, self.carrier = snr, steps, restarts, carrier

    @property
    def name(self) -> str:
        return f"ClipGradient-{self.carrier}-{self.snr:g}"

    @property
    def budget(self) -> str:
        return f"{self.steps} steps, {self.restarts} starts"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        """Clips as long as the encoder hears; ``losses`` are those of the best start."""
        generator = torch.Generator().manual_seed(seed)
        clips = model.collate(self._carriers(base, rows, generator))["waveform"]
        wanted = targets(base, rows)
        found: list[Attempt] = []
        for i in range(0, len(rows), _BATCH):
            part = clips[i : i + _BATCH]
            tries = [
                self._descend(model, part, wanted[i : i + _BATCH], generator, k) for k in range(self.restarts)
            ]
            for j in range(len(part)):
                best, losses = min(
                    ((wave[j], loss[j]) for wave, loss in tries), key=lambda x: x[1].min().item()
                )
                path = self.write(i + j, f"gradient-{self.snr:g}dB", best)
                spent = self.restarts * (self.steps + 1)
                found.append(Attempt(condition=path, queries=spent, losses=tuple(losses.tolist())))
        return found

    def _carriers(
        self, base: Adapter, rows: Sequence[PlanRow], generator: torch.Generator
    ) -> list[str] | list[Path]:
        if self.carrier == "own":
            return [row.condition for row in rows]
        pool = [clip for voice in others(base, rows) for clip in cloner(base).bank.clips(voice)]
        return [pool[i] for i in torch.randint(len(pool), (len(rows),), generator=generator).tolist()]

    def _descend(
        self, model: Adapter, clips: Tensor, wanted: Tensor, generator: torch.Generator, start: int
    ) -> tuple[Tensor, Tensor]:
        """The best of all steps, ``(batch, samples)``, and the losses ``(batch, steps + 1)``."""
        device = wanted.device
        clips = clips.to(device)
        # a little less than the bound, so that rounding to 32 bits does not pass it
        radius = clips.norm(dim=1, keepdim=True) * 10 ** (-self.snr / 20) * (1 - 1e-5)
        room = clips.abs().clamp(min=_LOUDEST)
        change = torch.zeros_like(clips)
        if start:
            change = normalize(torch.randn(clips.shape, generator=generator).to(device), dim=1) * radius
        best, least, losses = (
            clips.clone(),
            torch.full((len(clips),), torch.inf, device=device),
            list[Tensor](),
        )
        for _ in range(self.steps + 1):
            # elementwise towards the clip: this never makes the disturbance larger
            wave = torch.maximum(torch.minimum(clips + change, room), -room)
            with torch.enable_grad():
                wave.requires_grad_()
                loss = 1 - torch.cosine_similarity(embed(model, wave).hidden[:, 0], wanted, dim=1)
                (slope,) = torch.autograd.grad(loss.sum(), wave)
            losses.append(loss.detach())
            better = losses[-1] < least
            least = torch.where(better, losses[-1], least)
            best = torch.where(better[:, None], wave.detach(), best)
            change = wave.detach() - clips - 2.5 * radius / self.steps * normalize(slope, dim=1)
            change = change * (radius / change.norm(dim=1, keepdim=True)).clamp(max=1)
        return best.cpu(), torch.stack(losses, 1).cpu()
