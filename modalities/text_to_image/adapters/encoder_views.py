"""The encoders of a pipeline one by one, each by the last linear map before a place where it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modalities.text_to_image.adapters.pipeline_encoder import PipelineEncoder
from redact_core import Adapter, Condition, Conditioning, LastLinear, Lesson, Origin, Request
from redact_core.adapters.capabilities import HasLastLinear
from redact_core.errors import RedactError


class PartEncoder(nn.Module):
    """The whole network, with what one part of it gives at the positions that are read there.

    Args:
        whole: Of the pipeline.
        part: The encoder.
        pooled: Only the position from which the pooled vector comes is read.
    """

    def __init__(self, whole: nn.Module, part: str, pooled: bool):
        super().__init__()
        self.whole, self.part, self.pooled = whole, part, pooled
        self._ends: Tensor | None = None

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        masks: list[Tensor] = []

        def keep(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            ids: Tensor = args[0] if args else kwargs["input_ids"]
            mask = kwargs.get("attention_mask")
            masks.append(torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool())
            self._ends = self._end(ids, model) if self.pooled else None

        assert isinstance(self.whole, PipelineEncoder)
        model = self.whole.parts[self.part]
        handle = model.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            hidden = self.whole(inputs).hidden
        finally:
            handle.remove()
        return Conditioning(hidden, masks[-1][:, :1] if self.pooled else masks[-1])

    def layout(self, x: Tensor) -> Tensor:
        """Of the last pass: all positions, or the one that is pooled, ``(batch, 1, dim)``, wherever it stands."""
        if self._ends is None:
            return x
        return x[torch.arange(len(x), device=x.device), self._ends].unsqueeze(1)

    @staticmethod
    def _end(ids: Tensor, model: nn.Module) -> Tensor:
        """As CLIPTextModel finds it: in old configurations, 2 stands for the largest id."""
        end: Any = getattr(model, "config").eos_token_id  # noqa: B009 of every text model
        return ids.argmax(-1) if end == 2 else (ids == end).int().argmax(-1)


class EncoderView(Adapter, HasLastLinear):
    """One encoder of a pipeline, for methods that solve for its last linear map; it draws nothing.

    Args:
        whole: The pipeline's adapter.
        part: The encoder.
        last: The map before the place where it is read, and the block that it belongs to.
        pooled: The place is that of the pooled vector.
    """

    def __init__(self, whole: Adapter, part: str, last: tuple[nn.Module, nn.Module], pooled: bool):
        self.whole = whole
        encoder = PartEncoder(whole.encoder, part, pooled)
        self.encoder = encoder
        self._last = LastLinear(*last, encoder.layout)

    @property
    def origin(self) -> Origin:
        return self.whole.origin

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return self.whole.collate(conditions)

    def last_linear(self) -> LastLinear:
        return self._last

    def expand(self, request: Request) -> list[Lesson]:
        return self.whole.expand(request)

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        raise RedactError("One encoder alone draws nothing; use the pipeline's adapter.")

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        return self.whole.write_sample(sample, path)

    def save(self, folder: Path) -> None:
        self.whole.save(folder)


def views(whole: Adapter, encoders: Mapping[str, nn.Module], reads: Mapping[str, str]) -> list[EncoderView]:
    """A view for each place where an encoder is read, sequences before pooled vectors, which come out of later blocks.

    Args:
        whole: The pipeline's adapter.
        encoders: Part -> text model.
        reads: Part -> ``sequence``, ``pooled`` or ``sequence and pooled``; see
            :data:`~modalities.text_to_image.inspection.families.FAMILIES`.
    """
    found: list[EncoderView] = []
    for part, model in encoders.items():
        if "sequence" in reads[part]:
            # a CLIP that is read at two places gives the last but one states
            found.append(EncoderView(whole, part, _map(model, 2 if "pooled" in reads[part] else 1), False))
        if "pooled" in reads[part]:
            found.append(EncoderView(whole, part, _map(model, 1), True))
    return found


def _map(model: Any, place: int) -> tuple[nn.Module, nn.Module]:
    """The last linear map of the ``place``-th block from the end, and that block, which adds its result to its input.

    Raises:
        RedactError: The blocks of this class are of another kind.
    """
    inner = getattr(model, "text_model", model)
    if hasattr(inner, "encoder") and hasattr(inner.encoder, "layers"):  # CLIP
        block = inner.encoder.layers[-place]
        return block.mlp.fc2, block
    if hasattr(inner, "encoder") and hasattr(inner.encoder, "block"):  # T5, UMT5
        block = inner.encoder.block[-place]
        return block.layer[-1].DenseReluDense.wo, block
    raise RedactError(
        f"A {type(model).__name__} does not add the result of its last linear map to what it reads (Gemma normalises it "
        "first), so no closed form has a solution; use Distillation, which trains."
    )
