"""Espresso as a guard: pictures that CLIP finds nearer to what is unacceptable are replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from modalities.picture_files import pictures_in, read_picture
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.guards.picture_text import PictureText
from redact_core import Adapter, RedactError
from redact_core.adapters.generator_parts import GivesPictures
from redact_core.guards.two_anchor import TwoAnchorGuard, TwoAnchors
from redact_core.support.devices import move
from redact_core.support.paths import at_home


class Espresso(TwoAnchorGuard):
    """The two-anchor filter of generated pictures (Das et al. 2024, arXiv 2404.19227).

    Whoever has the model's folder skips it: it guards a service, not weights. See
    :mod:`redact_core.guards.two_anchor` for the decision and :mod:`.anchor_tuning` for tuning the text tower.

    Args:
        inner: Any model of pictures, or a guard around one.
        unacceptable: Phrases of what shall be blocked.
        acceptable: Phrases of what shall pass, e.g. the same kind of thing without the concept.
        clip: Folder of the CLIP; default: the bundled one, whose text tower is the bundled base's own.
        tower: A tuned text tower of that CLIP.
        threshold: Of the score, above which a picture is blocked; one half is the published decision.
        validation: Folder of PNG files that shall pass; sets the threshold instead.
        rate: Share of them that may be blocked.
        replacement: A picture that is given out for blocked ones; default: plain gray.

    Raises:
        RedactError: A list or the folder is empty, or a file cannot be read.
    """

    needs = (GivesPictures,)

    def __init__(
        self,
        inner: Adapter,
        unacceptable: list[str],
        acceptable: list[str],
        clip: Path | None = None,
        tower: Path | None = None,
        threshold: float = 0.5,
        validation: Path | None = None,
        rate: float = 0.05,
        replacement: Path | None = None,
    ):
        if not unacceptable or not acceptable:
            raise RedactError(
                "Espresso needs two lists; give at least one unacceptable and one acceptable phrase."
            )
        self.clip = PictureText(at_home(clip or BUNDLED / "clip"), None if tower is None else at_home(tower))
        with torch.no_grad():
            anchors = TwoAnchors(
                self.clip.texts(unacceptable), self.clip.texts(acceptable), self.clip.scale, threshold
            )
        super().__init__(inner, anchors)
        self.unacceptable, self.acceptable = list(unacceptable), list(acceptable)
        self.picture = None if replacement is None else read_picture(at_home(replacement))
        self.own_files = {f"espresso/{name}": path for name, path in self.clip.files().items()}
        if replacement is not None:
            self.own_files["espresso/replacement"] = at_home(replacement)
        if validation is not None:
            files = pictures_in(at_home(validation), below=False)
            benign = self.embed([read_picture(path) for path in files]) if files else torch.zeros(0, 1)
            self.use(anchors.calibrated(benign, rate))

    def files(self) -> Mapping[str, Path]:
        return {**self.inner.files(), **self.own_files}

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the guarded model, and the CLIP to the same device; the CLIP computes in float32."""
        super().to(device, dtype)
        move(self.clip.model, device)
        return self

    def embed(self, samples: Sequence[Tensor]) -> Tensor:
        return self.clip.pictures(samples)

    def stand_in(self, samples: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        del seeds
        if self.picture is None:
            return [torch.full_like(sample, 0.5) for sample in samples]
        return [
            interpolate(self.picture[None], size=x.shape[1:], mode="bilinear", antialias=True)[0].clamp(0, 1)
            for x in samples
        ]
