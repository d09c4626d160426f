"""The finished speech, disturbed faintly so that the filter lets it pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalities.text_to_speech.guards.voice_filter import VoiceFilter
from redact_core import Access, Adapter, Attack, Attempt, PlanRow, RedactError
from redact_core.adapters.generator_parts import GivesSpeech


class FilterWave(Attack):
    """Projected gradient descent (Madry et al. 2018) on the log-odds of a VoiceFilter, bounded in power.

    No user of a service can do this, who only gives clips: it is a bound on what any attack by faint
    changes of the output could reach. Without a filter the speech stays as it is.

    Args:
        snr: Power of the speech over that of the disturbance, in dB; never less.
        steps: Of gradient descent.
    """

    needs = (GivesSpeech,)
    access: ClassVar[Access] = "sample"
    adaptive = True

    def __init__(self, snr: float = 30.0, steps: int = 20):
        if not 0 <= snr <= 100 or steps < 1:
            raise RedactError(f"snr is {snr} and steps {steps}; give 0 to 100 dB and at least 1 step.")
        self.snr, self.steps = snr, steps

    @property
    def name(self) -> str:
        return f"FilterWave-{self.snr:g}"

    @property
    def budget(self) -> str:
        return f"{self.steps} steps at {self.snr:g} dB"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del base, seed
        conditions, seeds = [row.condition for row in rows], [row.seed for row in rows]
        guard = VoiceFilter.outermost(model)
        if guard is None:
            return [Attempt(sample=wave, queries=1) for wave in model.generate(conditions, seeds=seeds)]
        found: list[Attempt] = []
        for wave, own in zip(guard.inner.generate(conditions, seeds=seeds), seeds, strict=True):
            moved, losses = self.move(guard, wave)
            (sample,) = guard.given_out([moved], [own])
            found.append(Attempt(sample=sample, queries=len(losses), losses=tuple(losses)))
        return found

    def move(self, guard: VoiceFilter, wave: Tensor) -> tuple[Tensor, list[float]]:
        """``wave (samples,)`` as near to passing as it came, and the log-odds above the threshold on the way.

        Speech that passes is not moved on.
        """
        # a little less than the bound, so that rounding to 32 bits does not pass it
        radius = wave.norm() * 10 ** (-self.snr / 20) * (1 - 1e-5)
        now = best = wave
        losses: list[float] = []
        for _ in range(self.steps + 1):
            with torch.enable_grad():
                now = now.detach().requires_grad_()
                loss = guard.anchors.excess(guard.embed([now]))[0]
                (slope,) = torch.autograd.grad(loss, now)
            now = now.detach()
            if not losses or loss.item() < min(losses):
                best = now
            losses.append(loss.item())
            if losses[-1] <= 0:
                break
            change = now - wave - 2.5 * radius / self.steps * normalize(slope, dim=0)
            now = wave + change * (radius / change.norm().clamp(min=1e-12)).clamp(max=1)
            now = torch.maximum(torch.minimum(now, wave.abs().clamp(min=1)), -wave.abs().clamp(min=1))
        return best, losses
