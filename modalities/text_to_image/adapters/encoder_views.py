"""The encoders of a pipeline one by one, each by the last linear map before a place where it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modalities.text_to_image.adapters.pipeline_encoder import PipelineEncoder
from redact_core import Adapter, Condition, Conditioning, LastLinear, Lesson, Origin, Request
from redact_core.errors import RedactError


class PartEncoder(nn.Module):
    """The whole network, with what one part was asked: its own positions and which of them are read.

    Args:
        whole: Of the pipeline.
        part: The encoder.
        pooled: Only the position from which the pooled vector comes is read.
    """

    def __init__(self, whole: nn.Module, part: str, pooled: bool):
        super().__init__()
        self.whole, self.part, self.pooled = whole, part, pooled

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        asked: list[dict[str, Any]] = []

        def keep(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            asked.append({"input_ids": args[0], **kwargs} if args else dict(kwargs))

        assert isinstance(self.whole, PipelineEncoder)
        model = self.whole.parts[self.part]
        handle = model.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            conditioning = self.whole(inputs)
        finally:
            handle.remove()
        ids: Tensor = asked[-1]["input_ids"]
        return Conditioning(conditioning.hidden, self._read(ids, asked[-1].get("attention_mask"), model))

    def _read(self, ids: Tensor, mask: Tensor | None, model: nn.Module) -> Tensor:
        if not self.pooled:
            return torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
        end: Any = getattr(model, "config").eos_token_id  # noqa: B009 of every text model
        # as CLIPTextModel finds it: 2 stands in old configurations for the largest id
        at = ids.argmax(-1) if end == 2 else (ids == end).int().argmax(-1)
        return torch.arange(ids.shape[1], device=ids.device) == at.unsqueeze(1)


class EncoderView(Adapter):
    """One encoder of a pipeline, for methods that solve for its last linear map; it draws nothing.

    Args:
        whole: The pipeline's adapter.
        part: The encoder.
        last: The map before the place where it is read.
        pooled: The place is that of the pooled vector.
    """

    def __init__(self, whole: Adapter, part: str, last: LastLinear, pooled: bool):
        self.whole, self._last = whole, last
        self.encoder = PartEncoder(whole.encoder, part, pooled)

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


def _map(model: Any, place: int) -> LastLinear:
    """The last linear map of the ``place``-th block from the end.

    Raises:
        RedactError: The blocks of this class are not known.
    """
    inner = getattr(model, "text_model", model)
    if hasattr(inner, "encoder") and hasattr(inner.encoder, "layers"):  # CLIP
        block = inner.encoder.layers[-place]
        return LastLinear(block.mlp.fc2, block)
    if hasattr(inner, "encoder") and hasattr(inner.encoder, "block"):  # T5, UMT5
        block = inner.encoder.block[-place]
        return LastLinear(block.layer[-1].DenseReluDense.wo, block)
    inner = getattr(model, "model", model)
    if hasattr(inner, "layers"):  # Gemma: a norm stands between the map and what it is added to
        block = inner.layers[-place]
        return LastLinear(block.mlp.down_proj, block.mlp)
    raise RedactError(
        f"The blocks of a {type(model).__name__} are not known, so no map of it can be solved for."
    )
