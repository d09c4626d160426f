"""Dual latent reconstruction as a guard: a safe stream is drawn beside the user's and mixed into it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from modalities.text_to_image.adapters.turns import turn
from modalities.text_to_image.guards.guided import GuidedGuard
from modalities.text_to_image.guards.sampling_hooks import hooked, pipeline_of
from redact_core import Adapter, Condition, Conditioning, RedactError
from redact_core.adapters.guard import model_of
from redact_core.guards.dual_latents import Lead, Mixing, Schedule

Gate = Callable[[Adapter, Conditioning], Tensor]
"""The guarded model and the conditioning -> ``(batch,)`` bool, which rows shall be guarded."""


class DualLatent(GuidedGuard):
    """Two streams of latents from the same noise, summed after a threshold; trains nothing.

    The safe stream follows the safety context: ``context`` for every prompt, or the prompt itself
    with words replaced (``rewrite``), or the prompt as another encoder encodes it (``listener``, e.g. a
    redacted model's). Both streams are one batch: twice the cost and twice the memory of a batch.

    After Vice et al. 2024 (arXiv 2411.13982); see :mod:`redact_core.guards.dual_latents` for what is ours.

    Args:
        inner: A model with a diffusers pipeline and guidance above 1, or a guard around one.
        context: A prompt that is safe.
        rewrite: Words -> what stands in for them, whole words in any case.
        listener: Whose encoder reads the context, or the prompts if neither of the former is given.
        weight: Of the safe stream, in [0, 1]; at 0 the pipeline is left alone.
        threshold: Share of the steps before the streams are summed.
        lead: What is drawn before the threshold.
        coupled: Whether the safe stream goes on from the sum. If not, what it means is drawn to the end
            and shows three times as often at weight 0.5 on the bundled base, hence the default.
        schedule: Of the weight after the threshold.
        keep_variance: Keep the latents' standard deviation in the sum.
        gate: Says which prompts are guarded; without it all are. The others are drawn by the plain
            pipeline in the batch they came in, so that they are the same bit by bit.
        forced: Draw both streams even at weight 0, to measure what they cost.

    Raises:
        RedactError: ``inner`` has no such pipeline, a number is out of range, or no context is given.
    """

    def __init__(
        self,
        inner: Adapter,
        context: str | None = None,
        rewrite: dict[str, str] | None = None,
        listener: Adapter | None = None,
        weight: float = 0.75,
        threshold: float = 0.2,
        lead: Lead = "both",
        coupled: bool = False,
        schedule: Schedule = "constant",
        keep_variance: bool = False,
        gate: Gate | None = None,
        forced: bool = False,
    ):
        super().__init__(inner, listener)
        if context is not None and rewrite is not None:
            raise RedactError("Both context and rewrite are given; give one of them.")
        if context is None and not rewrite and listener is None:
            raise RedactError("No safety context is given; give context, rewrite or listener.")
        self.context, self.gate, self.forced = context, gate, forced
        self.rewrite = [f"{word} -> {safe}" for word, safe in (rewrite or {}).items()]
        self._words = dict(rewrite or {})
        self.mixing = Mixing(weight, threshold, lead, coupled, schedule, keep_variance)
        # for the fingerprint, which keeps plain attributes
        self.weight, self.threshold, self.lead, self.coupled = weight, threshold, lead, coupled
        self.schedule, self.keep_variance = schedule, keep_variance
        self.gated = getattr(gate, "__qualname__", repr(gate))

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        if self.mixing.weight == 0 and not self.forced:
            return self.inner.generate(conditions, seeds=seeds)
        conditioning = self.conditioning_of(conditions, seeds)
        if self.gate is None:
            return self._dual(conditioning, self._safe(conditions, conditioning), seeds)
        chosen = self.gate(self.inner, conditioning).nonzero().flatten().tolist()
        plain = (
            self.inner.generate(conditioning, seeds=seeds)
            if len(chosen) < len(conditioning)
            else [Tensor()] * len(conditioning)
        )
        if chosen:
            rows = torch.tensor(chosen, device=conditioning.hidden.device)
            safe = self._safe(conditions, conditioning)
            for i, sample in zip(
                chosen, self._dual(conditioning[rows], safe[rows], [seeds[i] for i in chosen]), strict=True
            ):
                plain[i] = sample
        return plain

    def _safe(
        self, conditions: Sequence[Condition] | Conditioning, conditioning: Conditioning
    ) -> Conditioning:
        """The safety context of each row."""
        listener = self.listener or self
        if self.context is not None:
            return _like(listener.encode([self.context] * len(conditioning)), conditioning)
        if isinstance(conditions, Conditioning):
            raise RedactError(
                "DualLatent cannot reword or encode again what is already a conditioning; ask with prompts, or give a context."
            )
        return _like(listener.encode([self._reworded(str(prompt)) for prompt in conditions]), conditioning)

    def _reworded(self, prompt: str) -> str:
        for word, safe in self._words.items():
            prompt = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", lambda _, s=safe: s, prompt, flags=re.I)
        return prompt

    def _dual(self, conditioning: Conditioning, safe: Conditioning, seeds: Sequence[int]) -> list[Tensor]:
        model, pipeline, samples = model_of(self.inner), pipeline_of(self.inner), list[Tensor]()
        scheduler = pipeline.scheduler
        with turn(pipeline.unet):
            size = self.batch_size
            for start in range(0, len(seeds), size):  # one run of the pipeline, both streams in it
                rows = slice(start, start + size)
                part, streams = list(seeds[rows]), Conditioning.cat([conditioning[rows], safe[rows]])
                step = _Step(scheduler, self.mixing, len(part))
                with hooked(model, "batch_size", 2 * len(part)), hooked(scheduler, "step", step):
                    samples += self.inner.generate(streams, seeds=part + part)[: len(part)]
        return samples


class _Step:
    """Takes the place of a scheduler's ``step`` for one run: the first ``2 * rows`` latents are mixed.

    Rows beyond are those of another guard between this one and the pipeline.
    """

    def __init__(self, scheduler: Any, mixing: Mixing, rows: int):
        self.scheduler, self.step, self.mixing, self.rows, self.index = (
            scheduler,
            scheduler.step,
            mixing,
            rows,
            0,
        )
        self.__signature__ = inspect.signature(scheduler.step)  # pipelines look whether it takes a generator

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        latents, *rest = self.step(*args, **kwargs | {"return_dict": False})
        n, steps = self.rows, len(self.scheduler.timesteps)
        user, safe = self.mixing.step(latents[:n], latents[n : 2 * n], self.index, steps)
        self.index += 1
        return (torch.cat([user, safe, latents[2 * n :]]), *rest)


def _like(safe: Conditioning, conditioning: Conditioning) -> Conditioning:
    """On the device of ``conditioning``; of the same shape, or the pipeline could not take both."""
    if safe.hidden.shape != conditioning.hidden.shape:
        raise RedactError(
            f"The listener answers {tuple(safe.hidden.shape[1:])} and the model {tuple(conditioning.hidden.shape[1:])}; "
            "give a listener of the same kind."
        )
    return safe.to(conditioning.hidden.device)
