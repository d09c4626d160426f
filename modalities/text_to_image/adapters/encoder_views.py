"""The encoders of a pipeline one by one, each by the last linear map before a place where it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from modalities.text_to_image.adapters.pipeline_encoder import PipelineEncoder
from redact_core import Adapter, Conditioning, LastLinear
from redact_core.adapters.capabilities import HasLastLinear
from redact_core.adapters.view import PartView
from redact_core.errors import RedactError

_ALL, _END, _BOTH = "all positions", "the end", "all positions and the end"


class PartEncoder(nn.Module):
    """The whole network, with what one part of it gives at the positions that are read there.

    Args:
        whole: Of the pipeline.
        part: The encoder.
        places: What is read: all positions; the one from which the pooled vector comes; or both by one map. Then the
            end counts as much as all other positions together, as it does in the distance of two conditionings, and
            wants the end of the answer, wherever that stands.
    """

    def __init__(self, whole: nn.Module, part: str, places: str):
        super().__init__()
        self.whole, self.part, self.places = whole, part, places
        self._ends: Tensor | None = None

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        masks: list[Tensor] = []

        def keep(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            ids: Tensor = args[0] if args else kwargs["input_ids"]
            mask = kwargs.get("attention_mask")
            masks.append(torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool())
            self._ends = None if self.places == _ALL else self._end(ids, model)

        assert isinstance(self.whole, PipelineEncoder)
        model = self.whole.parts[self.part]
        handle = model.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            hidden = self.whole(inputs).hidden
        finally:
            handle.remove()
        (mask,) = masks[-1:]
        if self.places == _END:
            mask = mask[:, :1]
        elif self._ends is not None:
            rest = torch.arange(mask.shape[1], device=mask.device) != self._ends.unsqueeze(1)
            mask = torch.cat([mask & rest, torch.ones_like(mask)], 1)
        return Conditioning(hidden, mask)

    def layout(self, x: Tensor) -> Tensor:
        """Of the last pass: all positions, the one that is pooled, ``(batch, 1, dim)``, wherever it stands, or both."""
        if self._ends is None:
            return x
        ends = x[torch.arange(len(x), device=x.device), self._ends].unsqueeze(1)
        return ends if self.places == _END else torch.cat([x, ends.expand_as(x)], 1)

    @staticmethod
    def _end(ids: Tensor, model: nn.Module) -> Tensor:
        """As CLIPTextModel finds it: in old configurations, 2 stands for the largest id."""
        end: Any = getattr(model, "config").eos_token_id  # noqa: B009 of every text model
        return ids.argmax(-1) if end == 2 else (ids == end).int().argmax(-1)


class EncoderView(PartView, HasLastLinear):
    """One encoder of a pipeline, for methods that solve for its last linear map; it draws nothing.

    Args:
        whole: The pipeline's adapter.
        part: The encoder.
        last: The map before the place where it is read, and the block that it belongs to.
        places: What of it is read, see :class:`PartEncoder`.
    """

    alone = "One encoder alone draws nothing; use the pipeline's adapter."

    def __init__(self, whole: Adapter, part: str, last: tuple[nn.Module, nn.Module], places: str):
        super().__init__(whole)
        encoder = PartEncoder(whole.encoder, part, places)
        self.encoder = encoder
        self._last = LastLinear(*last, encoder.layout)

    def last_linear(self) -> LastLinear:
        return self._last


def views(whole: Adapter, encoders: Mapping[str, nn.Module], reads: Mapping[str, str]) -> list[EncoderView]:
    """A view for each place where an encoder is read, sequences before pooled vectors, which come out of later blocks.

    Args:
        whole: The pipeline's adapter.
        encoders: Part -> text model.
        reads: Part -> ``sequence``, ``pooled``, ``sequence and pooled`` or ``sequence, pooled from its end``; see
            :data:`~modalities.text_to_image.inspection.families.FAMILIES`.
    """
    found: list[EncoderView] = []
    for part, model in encoders.items():
        twice = reads[part] == "sequence and pooled"
        if "pooled from its end" in reads[part]:
            found.append(EncoderView(whole, part, _map(model, 1), _BOTH))
        elif "sequence" in reads[part]:
            # a CLIP that is read at two places gives the last but one states
            found.append(EncoderView(whole, part, _map(model, 2 if twice else 1), _ALL))
        if twice or reads[part] == "pooled":
            found.append(EncoderView(whole, part, _map(model, 1), _END))
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
