"""A CLIP folder as an embedder of pictures and texts into one space."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from transformers import CLIPModel, CLIPTokenizer

from modalities.received import check_folder
from modalities.text_to_image.adapters.token_ids import token_batch
from modalities.whole_models import whole
from redact_core import RedactError
from redact_core.errors import first_line

_MODES = {2: "bilinear", 3: "bicubic"}


class PictureText:
    """Unit embeddings of pictures and texts; pictures are prepared as the folder's settings say.

    The preparation is differentiable, unlike the processor of transformers, so that pixels can be
    searched through it.

    Args:
        folder: Of a ``CLIPModel`` with tokenizer and ``preprocessor_config.json``.
        tower: A file with a tuned text tower, as :meth:`text_state` gives it.

    Raises:
        RedactError: The folder cannot be loaded, or the tower does not fit it.
    """

    def __init__(self, folder: Path, tower: Path | None = None):
        self.folder, self.tower = folder, tower
        check_folder(folder)
        try:
            self.model: Any = whole(CLIPModel, folder, use_safetensors=True, dtype=torch.float32).eval()
            self.tokenizer = CLIPTokenizer.from_pretrained(folder)
            self.settings: dict[str, Any] = json.loads((folder / "preprocessor_config.json").read_text())
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = first_line(error)
            raise RedactError(
                f"{folder} cannot be loaded as a CLIP folder ({reason}); give another."
            ) from error
        self.model.requires_grad_(False)
        if tower is not None:
            self._load(tower)

    @property
    def scale(self) -> float:
        """``exp(logit_scale)``."""
        return self.model.logit_scale.exp().item()

    def files(self) -> dict[str, Path]:
        """Every file that an embedding depends on."""
        found = {path.name: path for path in sorted(self.folder.iterdir()) if path.is_file()}
        return found if self.tower is None else found | {"tower": self.tower}

    def pictures(self, samples: Sequence[Tensor]) -> Tensor:
        """``(pictures, dim)`` of pictures ``(3, height, width)`` in [0, 1], on their device.

        Computed where the CLIP is.
        """
        rows = [
            self.model.visual_projection(
                self.model.vision_model(
                    pixel_values=torch.cat([self._prepared(x) for x in part])
                ).pooler_output
            )
            for part in (samples[i : i + 64] for i in range(0, len(samples), 64))
        ]
        return normalize(torch.cat(rows), dim=1).to(samples[0].device)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """``(texts, dim)`` on the device of the CLIP; texts beyond the context are cut."""
        config: Any = self.model.config.text_config
        length = config.max_position_embeddings
        ids = token_batch(self.tokenizer, texts, length)["input_ids"]
        pooled = self.model.text_model(input_ids=ids.to(self.model.device)).pooler_output
        return normalize(self.model.text_projection(pooled), dim=1)

    def text_parameters(self) -> list[torch.nn.Parameter]:
        """All that :meth:`texts` depends on, and nothing else."""
        return [*self.model.text_model.parameters(), *self.model.text_projection.parameters()]

    def text_state(self) -> dict[str, Tensor]:
        """The state of the text tower, for a safetensors file."""
        return {
            key: value.detach().clone().contiguous()
            for key, value in self.model.state_dict().items()
            if key.startswith(("text_model.", "text_projection."))
        }

    def _load(self, tower: Path) -> None:
        try:
            state: Mapping[str, Tensor] = load_file(tower)
        except (OSError, SafetensorError) as error:
            raise RedactError(
                f"{tower} is no safetensors file ({error}); give a tuned text tower."
            ) from error
        own = self.text_state()
        if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in own.items()}:
            raise RedactError(f"{tower} is no text tower of {self.folder}; give one that was tuned from it.")
        self.model.load_state_dict(dict(state), strict=False)

    def _prepared(self, sample: Tensor) -> Tensor:
        """``(1, 3, size, size)``: resized by the shorter side, cut in the middle, normalised."""
        size, crop = self._sizes
        factor = size / min(sample.shape[1:])
        shape = tuple(round(side * factor) for side in sample.shape[1:])
        mode = _MODES.get(self.settings.get("resample", 3), "bicubic")
        x = interpolate(
            sample[None].to(self.model.device).float(), size=shape, mode=mode, antialias=True
        ).clamp(0, 1)
        top, left = (shape[0] - crop) // 2, (shape[1] - crop) // 2
        mean, std = (
            torch.tensor(self.settings[k]).view(1, 3, 1, 1).to(x) for k in ("image_mean", "image_std")
        )
        return (x[:, :, top : top + crop, left : left + crop] - mean) / std

    @cached_property
    def _sizes(self) -> tuple[int, int]:
        size, crop = self.settings["size"], self.settings["crop_size"]
        short = size["shortest_edge"] if isinstance(size, dict) else size
        return int(short), int(crop["height"] if isinstance(crop, dict) else crop)
