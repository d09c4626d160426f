"""A redaction of CLIP text encoders as a LoRA, in the key names of diffusers, and of ComfyUI and the web UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from modalities.text_to_image.exports.encoders import CLIP, Encoder, state
from modalities.text_to_image.exports.key_names import KOHYA, diffusers, kohya
from modalities.text_to_image.exports.low_rank import MAPS, LowRank, changes, factors
from modalities.weight_files import in_dtype, save_safe
from redact_core import RedactError

DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
"""The name that ``load_lora_weights`` looks for in a folder."""
KOHYA_FILE = "lora_comfyui_webui.safetensors"

ALPHA = 16.0
"""Of every map in the file for ComfyUI and the web UI."""


class Lora:
    """The low-rank changes of all encoders of a folder.

    Args:
        found: Encoders with their base.
        rank: At most so much for each map; ``None``: as the tolerance needs.
        tolerance: Share of a map's change that may be lost, in Frobenius norm.

    Raises:
        RedactError: An encoder that changed has no LoRA that a tool reads, or none changed.
    """

    def __init__(self, found: Sequence[Encoder], rank: int | None, tolerance: float):
        self.parts: dict[str, dict[str, LowRank]] = {}
        self.left: list[str] = []
        """Changed tensors that a LoRA cannot carry."""
        self.alone = sum(encoder.kind in CLIP for encoder in found) == 1
        for encoder in found:
            if not encoder.changed():
                continue
            if encoder.kind not in CLIP or encoder.part not in KOHYA:
                raise RedactError(
                    f"The redaction changed {encoder.part}, a {encoder.kind}, for which no tool reads a LoRA; export the "
                    "encoders instead: --as encoder."
                )
            assert encoder.base is not None
            found_changes, left = changes(state(encoder.base), state(encoder.redacted))
            self.parts[encoder.part] = {
                name: factors(change, rank, tolerance) for name, change in found_changes.items()
            }
            self.left += [f"{encoder.part}: {name}" for name in left]
        if not any(self.parts.values()):
            raise RedactError(
                "No linear map of the encoders differs from the base's, so there is nothing that a LoRA could hold; "
                "give the base that was redacted, or export the encoders: --as encoder."
            )

    @property
    def ranks(self) -> list[int]:
        """Of all maps."""
        return [len(one.down) for maps in self.parts.values() for one in maps.values()]

    def write(self, folder: Path, dtype: torch.dtype, metadata: Mapping[str, str]) -> list[Path]:
        """Write both files.

        Args:
            folder: Existing.
            dtype: Of the tensors.
            metadata: Of the files.

        Raises:
            RedactError: A value is not finite in ``dtype``.
        """
        both = ((DIFFUSERS_FILE, self._diffusers()), (KOHYA_FILE, self._kohya()))
        for name, tensors in both:
            stored = {key: in_dtype(key, value, dtype).contiguous() for key, value in tensors.items()}
            save_safe(stored, folder / name, {"format": "pt", **metadata})
        return [folder / name for name, _ in both]

    def _diffusers(self) -> dict[str, Tensor]:
        """With biases for all maps or for none, as PEFT has it."""
        tensors: dict[str, Tensor] = {}
        biased = any(one.bias.any() for maps in self.parts.values() for one in maps.values())
        for part, maps in self.parts.items():
            for name, one in maps.items():
                key = f"{diffusers(part, name)}.lora_linear_layer"
                tensors |= {f"{key}.down.weight": one.down, f"{key}.up.weight": one.up}
                if biased:
                    tensors[f"{key}.up.bias"] = one.bias
        return tensors

    def _kohya(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for part, maps in self.parts.items():
            for name, one in self._whole_attentions(maps).items():
                key = kohya(part, name, self.alone)
                # readers multiply by alpha / rank; diffusers keeps one alpha alone, whatever each map says
                up = one.up * len(one.down) / ALPHA
                tensors |= {f"{key}.lora_down.weight": one.down, f"{key}.lora_up.weight": up}
                tensors[f"{key}.alpha"] = torch.tensor(ALPHA)
                if one.bias.any():
                    tensors[f"{key}.diff_b"] = one.bias
        return tensors

    def _whole_attentions(self, maps: Mapping[str, LowRank]) -> dict[str, LowRank]:
        """With the unchanged maps of every attention that changed: the web UI changes all four of it or none."""
        full = dict(maps)
        for name, one in maps.items():
            block, _, _ = name.rpartition("self_attn.")
            width = one.down.shape[1]
            for other in MAPS[:4] if block else ():
                if block + other not in full:
                    zeros = LowRank(torch.zeros(1, width), torch.zeros(width, 1), torch.zeros(width))
                    full[block + other] = zeros
        return full
