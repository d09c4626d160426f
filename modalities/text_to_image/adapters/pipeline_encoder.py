"""The text encoders of a pipeline as one conditioning network, through the pipeline's own ``encode_prompt``."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from modalities.text_to_image.adapters.turns import turn
from modalities.text_to_image.inspection.families import HIDDEN, Family
from redact_core import Conditioning

WIDTH = 2048
"""Bytes of the longest prompt."""
_PROMPT = "prompt"


def as_bytes(prompts: Sequence[str]) -> Tensor:
    """``(batch, WIDTH)`` uint8: prompts in UTF-8, filled up with zeros; the pipelines read texts, not ids."""
    rows = torch.zeros(len(prompts), WIDTH, dtype=torch.uint8)
    for row, prompt in zip(rows, prompts, strict=True):
        code = prompt.encode()
        row[: len(code)] = torch.tensor(list(code), dtype=torch.uint8)
    return rows


def as_texts(rows: Tensor) -> list[str]:
    """The prompts of :func:`as_bytes`."""
    return [bytes(row).rstrip(b"\0").decode() for row in rows.cpu().tolist()]


def as_mask(mask: Tensor, hidden: Tensor) -> Tensor:
    """``(batch, length)`` bool; AuraFlow's has every position once for each dim of ``hidden``."""
    return mask.view(*hidden.shape[:2], -1)[..., 0].bool()


class Shell:
    """A pipeline without the parts that draw. Copies of a network share it, and put their own encoders in when they encode.

    Args:
        pipeline: Of a class of :data:`~modalities.text_to_image.inspection.families.FAMILIES`.
        family: What its ``encode_prompt`` returns.
    """

    def __init__(self, pipeline: Any, family: Family):
        self.pipeline, self.family = pipeline, family
        self._lock = threading.RLock()
        own = inspect.signature(type(pipeline).__call__).parameters
        self._encode = inspect.unwrap(getattr(type(pipeline), family.method))
        wanted = list(inspect.signature(self._encode).parameters)[1:]
        # what the pipeline's call would hand over: lengths, instructions, cleaning
        self._arguments: dict[str, Any] = {
            name: own[name].default
            for name in wanted
            if name in own
            and name not in {_PROMPT, "negative_prompt"}
            and "embeds" not in name
            and "mask" not in name
        }
        self._guided = "do_classifier_free_guidance" in wanted

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        del memo
        return self

    def encode(
        self, encoders: Mapping[str, nn.Module], prompts: Sequence[str], *, guided: bool = False
    ) -> dict[str, Tensor]:
        """What the pipeline's method returns for ``prompts``, by the names of the call's arguments.

        Args:
            encoders: Part -> module that encodes.
            prompts: Texts.
            guided: With what guidance leads away from, where the class has that.
        """
        device = next(next(iter(encoders.values())).parameters()).device
        more: dict[str, Any] = {"do_classifier_free_guidance": guided} if self._guided else {}
        with self._alone(), self._holding(encoders):
            found = self._encode(
                self.pipeline, **{**self._arguments, **more, _PROMPT: list(prompts), "device": device}
            )
        named = zip(self.family.returns, found, strict=True)
        return {name: value for name, value in named if isinstance(value, Tensor)}

    @contextmanager
    def _alone(self) -> Generator[None]:
        """No other thread is in this pipeline, nor in its tokenizers, which others ask as well."""
        with self._lock, ExitStack() as turns:
            for name, part in self.pipeline.components.items():
                if name.startswith("tokenizer") and part is not None:
                    turns.enter_context(turn(part))
            yield

    @contextmanager
    def _holding(self, encoders: Mapping[str, nn.Module]) -> Generator[None]:
        for part, module in encoders.items():
            vars(self.pipeline)[part] = module
        try:
            yield
        finally:
            for part in encoders:
                vars(self.pipeline)[part] = None


class PipelineEncoder(nn.Module):
    """``text (batch, WIDTH)`` of :func:`as_bytes` -> what the denoiser reads, exactly as the pipeline does it.

    Args:
        encoders: Part -> text model, of those that the folder has.
        shell: Of the pipeline.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], shell: Shell):
        super().__init__()
        self.parts = nn.ModuleDict(dict(encoders))
        self.shell = shell

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        found = self.shell.encode(dict(self.parts.items()), as_texts(inputs["text"]))
        hidden, family = found[HIDDEN], self.shell.family
        mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        if family.mask is not None:
            mask = as_mask(found[family.mask], hidden)
        return Conditioning(hidden, mask, found[family.pooled] if family.pooled else None)
