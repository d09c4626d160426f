"""The text encoders of a redacted folder beside those of its base, as plain tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from modalities.headers import config
from modalities.stock import Stock, find
from modalities.weight_files import entries, names_in
from redact_core import RedactError

PREFIX = "text_model."
CLIP = {"CLIPTextModel", "CLIPTextModelWithProjection"}


@dataclass(frozen=True)
class Encoder:
    """One text encoder of a folder."""

    part: str
    """``text_encoder``, ``text_encoder_2`` ..."""
    kind: str
    """Its class."""
    redacted: Stock
    base: Stock | None
    """Of the untouched folder; ``None`` where none is needed."""

    def changed(self) -> bool:
        """Whether any tensor differs from the base's.

        Raises:
            RedactError: There is no base.
        """
        assert self.base is not None
        return self.base.differs(dict(named(self.redacted, self.base)))


def encoders(folder: Path, base: Path | None, variant: str | None = None) -> list[Encoder]:
    """The text encoders that the folder's index lists, in its order.

    Args:
        folder: A redacted pipeline.
        base: The pipeline that it was made from.
        variant: Of the weight files.

    Raises:
        RedactError: One of the folders is no pipeline, lacks an encoder or has one of another class, or gating units
            stand behind an encoder.
    """
    index = config(folder / "model_index.json")
    other = None if base is None else config(base / "model_index.json")
    found: list[Encoder] = []
    for part, value in index.items():
        if "text_encoder" not in part or not isinstance(value, list) or not value[0]:
            continue
        kind = str(value[1])
        if other is not None and list(other.get(part) or ()) != value:
            raise RedactError(
                f"{folder} and {base} have other encoders ({part}); give the folder that was redacted as --base."
            )
        stock = None if base is None else find(base / part, variant=variant)
        redacted = find(folder / part, variant=variant)
        if kind in CLIP:
            _refuse_gates(redacted, f"{folder.name}/{part}")
        found.append(Encoder(part, kind, redacted, stock))
    if not found:
        raise RedactError(f"{folder} holds no text encoder; give the folder of a pipeline.")
    return found


def _refuse_gates(encoder: Stock, place: str) -> None:
    """ComfyUI and the web UI build the stock number of blocks and pass over the weights of any other.

    That is ``sd1_clip_config.json`` and a ``load_state_dict`` that is not strict (Comfy-Org/ComfyUI), and the
    configuration of openai/clip-vit-large-patch14 (AUTOMATIC1111/stable-diffusion-webui).
    """
    last = "self_attn.out_proj.weight"
    for path in encoder.files:
        if any(name.endswith(last) and not value.any() for name, value in entries(path)):
            raise RedactError(
                f"{place} ends in a block of gating units, which ComfyUI and the web UI would leave out without a word, "
                "and the redaction with it; hand on the folder itself, or redact with another method."
            )


def state(stock: Stock) -> dict[str, Tensor]:
    """All tensors of real numbers in float32, by the names that they have without the prefix ``text_model.``."""
    return {
        name.removeprefix(PREFIX): value.to(torch.float32)
        for path in stock.files
        for name, value in entries(path)
        if value.is_floating_point()
    }


def named(stock: Stock, like: Stock) -> Iterator[tuple[str, Tensor]]:
    """The tensors of ``stock`` under the names that ``like`` has for them."""
    known = {name.removeprefix(PREFIX): name for path in like.files for name in names_in(path)}
    for path in stock.files:
        for name, value in entries(path):
            yield known.get(name.removeprefix(PREFIX), name), value
