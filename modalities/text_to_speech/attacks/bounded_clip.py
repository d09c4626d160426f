"""What attacks share that disturb a clip within a signal-to-noise ratio."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from modalities.text_to_speech.attacks.clip_attack import ClipAttack
from modalities.text_to_speech.attacks.voices import cloner, embed, others, targets
from redact_core import Access, Adapter, Attempt, PlanRow, RedactError
from redact_core.gates import around_gates

_BATCH = 8
_LOUDEST = 0.99  # louder clips would be refused as clipped


class BoundedClip(ClipAttack):
    """Base of attacks that look for a disturbance of a clip, bounded in power.

    They lower 1 - cosine between the attacked encoder's embedding of the disturbed clip and the base's
    embedding of the row's voice, the mean over its clips.

    Args:
        snr: Power of the clip over that of the disturbance, in dB; never less.
        steps: Of the search.
        restarts: Searches, of which the best is kept.
        carrier: ``own``: the row's clip is disturbed. ``other``: a clip of somebody who stays, chosen
            by the seed.
        folder: Where the clips are written.

    Raises:
        RedactError: A setting is out of range.
    """

    access: ClassVar[Access] = "encoder gradient"
    adaptive = True
    trace: ClassVar[str]
    """Of the search, in the names of the files."""

    def __init__(
        self, snr: float, steps: int, restarts: int, carrier: Literal["own", "other"], folder: Path | None
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
        return f"{type(self).__name__}-{self.carrier}-{self.snr:g}"

    @property
    def budget(self) -> str:
        return f"{self.steps} steps, {self.restarts} starts"

    @abstractmethod
    def search(
        self, model: Adapter, clips: Tensor, wanted: Tensor, generator: torch.Generator, start: int
    ) -> tuple[Tensor, Tensor]:
        """One search.

        Args:
            model: Under attack.
            clips: ``(batch, samples)`` on the encoder's device.
            wanted: ``(batch, dim)`` embeddings of length 1.
            generator: Of everything drawn.
            start: Number of the search; the first begins at the clips themselves.

        Returns:
            The best clips ``(batch, samples)``, and the losses ``(batch, steps + 1)``.
        """

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        """Clips as long as the encoder reads; ``losses`` are those of the best start."""
        generator = torch.Generator().manual_seed(seed)
        clips = model.collate(self._carriers(base, rows, generator))["waveform"]
        wanted = targets(base, rows)
        clips, found = clips.to(wanted.device), list[Attempt]()
        for i in range(0, len(rows), _BATCH):
            part = slice(i, i + _BATCH)
            tries = [
                self.search(model, clips[part], wanted[part], generator, k) for k in range(self.restarts)
            ]
            for j in range(len(clips[part])):
                best, losses = min(
                    ((wave[j], loss[j]) for wave, loss in tries), key=lambda x: x[1].min().item()
                )
                path = self.write(i + j, f"{self.trace}-{self.snr:g}dB", best)
                spent = self.restarts * (self.steps + 1)
                found.append(Attempt(condition=path, queries=spent, losses=tuple(losses.tolist())))
        return found

    def radius(self, clips: Tensor) -> Tensor:
        """``(batch, 1)`` largest norm of a disturbance."""
        # a little less than the bound, so that rounding to 32 bits does not pass it
        return clips.norm(dim=1, keepdim=True) * 10 ** (-self.snr / 20) * (1 - 1e-5)

    def _carriers(
        self, base: Adapter, rows: Sequence[PlanRow], generator: torch.Generator
    ) -> list[str] | list[Path]:
        if self.carrier == "own":
            return [row.condition for row in rows]
        pool = [clip for voice in others(base, rows) for clip in cloner(base).bank.clips(voice)]
        return [pool[i] for i in torch.randint(len(pool), (len(rows),), generator=generator).tolist()]


def heard(clips: Tensor, change: Tensor) -> Tensor:
    """The disturbed clips, without samples that would be refused as clipped."""
    room = clips.abs().clamp(min=_LOUDEST)
    # elementwise towards the clip: this never makes the disturbance larger
    return torch.maximum(torch.minimum(clips + change, room), -room)


def guide(
    model: Adapter, waves: Tensor, wanted: Tensor, weight: float, behind_moves: bool = False
) -> tuple[Tensor, Tensor]:
    """What a search may follow downhill, and what it is judged by; the same for an encoder without gates.

    A shut gate passes the voice on and an open one does not, and neither has a gradient. So the way is led by
    the embedding in front of all gates, and by ``weight`` times how far its threshold is passed.

    Args:
        model: Under attack.
        waves: ``(batch, samples)``.
        wanted: ``(batch, dim)`` of length 1.
        weight: Of the openings; large ones keep the gates shut, small ones come nearer to the voice.
        behind_moves: Whether the way is led by what gates make of the embedding by moving alone instead.

    Returns:
        ``(batch,)`` to follow, with a gradient; ``(batch,)`` :func:`gap`.
    """
    inputs = {"waveform": waves.to(next(model.encoder.parameters()).device)}
    before, behind, openings, moved = around_gates(model.encoder, inputs)
    found = 1 - torch.cosine_similarity(behind, wanted, dim=1)
    if not openings.shape[1]:
        return found, found.detach()
    way = 1 - torch.cosine_similarity(moved if behind_moves else before, wanted, dim=1)
    return way + weight * torch.relu(openings + 1e-3).sum(1), found.detach()


def gap(model: Adapter, waves: Tensor, wanted: Tensor) -> Tensor:
    """``(batch,)`` 1 - cosine of the attacked encoder's embeddings of ``waves`` and ``wanted``."""
    return 1 - torch.cosine_similarity(embed(model, waves).hidden[:, 0], wanted, dim=1)
