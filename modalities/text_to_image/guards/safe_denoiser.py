"""A denoiser that answers so that the pipeline's own guidance formula gives Safe Latent Diffusion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from redact_core.guards.safe_guidance import SafetyGuidance, safety_term


class SafeDenoiser:
    """Takes the place of ``forward`` of a denoiser for one run of a pipeline.

    The pipeline passes rows ``[empty prompts, prompts]`` and computes ``e_u + g (e_p - e_u)`` of the
    answer. Here one row for each prompt and concept is added to the batch, and ``e_p - gamma`` is
    returned for ``e_p``, which makes that formula equation (3). Works with every denoiser that takes
    its rows along the first dimension of its tensors (U-Nets and transformers alike).

    Args:
        forward: Of the denoiser, or another ``SafeDenoiser`` in its place.
        concepts: Name of an argument, also inside dictionaries, e.g. ``encoder_hidden_states`` or
            ``pooled_projections`` -> ``(concepts, ...)`` what it is for the safety concepts.
            Arguments that are not named are the same as for the prompts.
        settings: Warm-up in calls of the denoiser.
    """

    def __init__(self, forward: Callable[..., Any], concepts: Mapping[str, Tensor], settings: SafetyGuidance):
        self.forward, self.concepts, self.settings = forward, concepts, settings
        self.count = len(next(iter(concepts.values())))
        self.calls, self.past = 0, torch.zeros(())

    @torch.no_grad()
    def __call__(self, *args: Any, rows: int | None = None, **kwargs: Any) -> tuple[Tensor]:
        """``rows``: prompts in the batch, where a hook before this one has added rows of its own."""
        total = len(args[0] if args else kwargs["hidden_states"])
        rows = total // 2 if rows is None else rows
        args = tuple(self._extended("", value, total, rows) for value in args)
        kwargs = {name: self._extended(name, value, total, rows) for name, value in kwargs.items()}
        if isinstance(self.forward, SafeDenoiser):
            kwargs["rows"] = rows
        answer: Tensor = self.forward(*args, **kwargs | {"return_dict": False})[0]
        e_u, e_p, others = answer[:rows], answer[rows : 2 * rows], answer[2 * rows : total]
        e_s = answer[total:].chunk(self.count)
        gamma, self.past = safety_term(e_u, e_p, e_s, self.past.to(e_p), self.settings)
        if self.calls >= self.settings.warmup:
            e_p = e_p - gamma
        self.calls += 1
        return (torch.cat([e_u, e_p, others]),)

    def _extended(self, name: str, value: Any, total: int, rows: int) -> Any:
        if isinstance(value, dict):
            return {key: self._extended(key, entry, total, rows) for key, entry in value.items()}
        if not isinstance(value, Tensor) or value.dim() == 0 or len(value) != total:
            return value
        if name in self.concepts:
            more = self.concepts[name].to(value).repeat_interleave(rows, 0)
        else:
            more = torch.cat([value[rows : 2 * rows]] * self.count)
        return torch.cat([value, more])
