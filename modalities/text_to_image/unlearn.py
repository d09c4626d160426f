"""``unlearn()``: one call around a diffusers pipeline, for those who want nothing else of redact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.adapters.stable_diffusion_xl import StableDiffusionXL
from modalities.text_to_image.inspection.families import FAMILIES
from modalities.text_to_image.robust_prompts import RobustPrompts
from redact_core import (
    Adapter,
    ClosedForm,
    Objective,
    RedactError,
    RobustAmnesia,
    SelectiveAmnesia,
    redact,
)
from redact_core.objectives.distillation import method_of


def amnesia() -> Objective:
    """The denoiser's cross-attention forgets. Of the thousand time steps of a sample the Fisher information visits twenty."""
    return SelectiveAmnesia(parameters="attn2", fisher_samples=64, fisher_times=20)


METHODS: Mapping[str, Callable[[Adapter], Sequence[Objective]]] = {
    "distillation": lambda model: [method_of(model)],
    "robust": lambda _: [RobustPrompts()],
    "closed_form": lambda _: [ClosedForm()],
    "selective_amnesia": lambda _: [amnesia()],
    "robust_amnesia": lambda _: [RobustAmnesia(parameters="attn2", fisher_samples=64, fisher_times=20)],
    "amnesia_and_robust": lambda _: [amnesia(), RobustPrompts()],
}
"""Name -> methods, one after the other: the one that suits the model, trained against attacks, solved without training, in the
denoiser, in the denoiser trained against learnt words, and in the denoiser before one trained against attacks in the encoder."""


def unlearn(
    pipe: Any,
    concept: str | Sequence[str],
    method: str = "distillation",
    target: str | Sequence[str] | None = None,
    keep: str | Sequence[str] | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Any:
    """Make a pipeline draw something else where a concept or a style is asked for.

    The pipeline's own modules are changed in place; its scheduler, added tokens and a LoRA on it stay. This calls
    :func:`redact_core.redact` on :class:`~modalities.text_to_image.StableDiffusion` or
    :class:`~modalities.text_to_image.StableDiffusionXL` around the pipeline; use these for a card and a saved folder
    that is checked.

    Args:
        pipe: A ``StableDiffusionPipeline`` or ``StableDiffusionXLPipeline``.
        concept: A concept, ``style: NAME``, a prompt, or several of these.
        method: A key of :data:`METHODS`.
        target: What is drawn instead: one for all or one for each; default: a concept of the same kind, and of a style none,
            or another where the model draws it unasked.
        keep: Where prompts that must stay come from: ``templates``, ``vocabulary``, ``wordings``, or
            files of prompts; default: the adapter's choice.
        steps: Of training; default: what suits the model.
        seed: Of wordings and order.
        progress: Show a progress bar.

    Returns:
        ``pipe`` itself, on its device and in its number formats.

    Raises:
        RedactError: The pipeline is of another class, there is no such method, one of its steps does not fit the pipeline, or
            the request contradicts itself.
    """
    if not isinstance(method, str) or method not in METHODS:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise RedactError(f"There is no method {method!r}; give one of {', '.join(METHODS)}.")
    model = _adapter(pipe)
    objectives = METHODS[method](model)
    for objective in objectives:  # before the first of them changes anything
        objective.check(model)
    parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    formats: list[tuple[torch.nn.Module, Any]] = [(part, part.dtype) for part in parts]
    formats = [(part, dtype) for part, dtype in formats if dtype != torch.float32]
    if formats:
        model.to(dtype=torch.float32)
    try:
        for objective in objectives:
            redact(
                model, concept, reference=target, retain=keep, objective=objective, steps=steps, seed=seed,
                progress=progress,
            )  # fmt: skip
    finally:
        for part, dtype in formats:
            part.to(dtype=dtype)
    return pipe


def _adapter(pipe: Any) -> Adapter:
    """Around a pipeline of a class that can be redacted in memory.

    Raises:
        RedactError: It is none.
    """
    kind = type(pipe).__name__
    for adapter in (StableDiffusion, StableDiffusionXL):
        if kind in adapter.pipelines:
            return adapter(pipe)
    wanted = " or a ".join(sorted(StableDiffusion.pipelines | StableDiffusionXL.pipelines))
    if isinstance(pipe, str | Path):
        instead = "a folder or a hub id is redacted by redact(StableDiffusion(...), ...)"
    elif kind in FAMILIES:
        instead = "save it with save_pretrained, and call redact(PromptPipeline(FOLDER), ...)"
    else:
        instead = "redact(...) takes other models"
    raise RedactError(f"unlearn takes a {wanted} in memory, and this is a {kind}; {instead}.")
