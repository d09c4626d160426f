"""What an independent CLIP sees: zero-shot classes, and how well a picture fits its prompt."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize
from transformers import CLIPModel, CLIPTokenizer

from modalities.picture_files import read_picture
from modalities.received import check_folder
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.adapters.token_ids import token_batch
from modalities.text_to_image.prompts.phrasing import with_article
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from modalities.whole_models import whole
from redact_core import Metric, RedactError, Scorer, Trial
from redact_core.errors import first_line
from redact_core.support.paths import at_home

JUDGE = BUNDLED / "clip_judge"
_FILTERS = {2: "bilinear", 3: "bicubic"}  # numbers of Pillow


class Clip:
    """A ``CLIPModel`` folder as a judge.

    Args:
        folder: With tokenizer and ``preprocessor_config.json``.

    Raises:
        RedactError: The folder holds no such model.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        if not (folder / "config.json").is_file():
            raise RedactError(
                f"{folder} holds no CLIP: config.json is missing; give the folder of a CLIPModel."
            )
        check_folder(folder)
        try:
            model = whole(CLIPModel, folder, dtype=torch.float32, use_safetensors=True)
            self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            reason = first_line(error)
            raise RedactError(
                f"{folder} cannot be loaded as a CLIPModel ({reason}); fetch it again."
            ) from error
        self.model = model.eval().requires_grad_(False)
        path = folder / "preprocessor_config.json"
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        config: Any = self.model.config
        self.size: int = config.vision_config.image_size
        self.context: int = config.text_config.max_position_embeddings
        self.filter = _FILTERS.get(settings.get("resample", 3), "bicubic")
        # CLIP's own where the folder does not say
        mean = settings.get("image_mean", [0.48145466, 0.4578275, 0.40821073])
        deviation = settings.get("image_std", [0.26862954, 0.26130258, 0.27577711])
        self.mean, self.deviation = (torch.tensor(x).view(3, 1, 1) for x in (mean, deviation))

    @property
    def files(self) -> Mapping[str, Path]:
        """All of the folder."""
        return {path.name: path for path in sorted(self.folder.iterdir()) if path.is_file()}

    @torch.no_grad()
    def see(self, pictures: Sequence[Tensor]) -> Tensor:
        """``(pictures, dim)`` of length 1, on the CPU; pictures ``(3, height, width)`` in [0, 1], their middle square."""
        pixels = torch.stack([(self._fit(x) - self.mean) / self.deviation for x in pictures])
        output = self.model.vision_model(pixel_values=pixels.to(self.model.device))
        return normalize(self.model.visual_projection(output.pooler_output), dim=1).cpu()

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> Tensor:
        """``(texts, dim)`` of length 1, on the CPU; texts beyond the context are cut."""
        rows: list[Tensor] = []
        for start in range(0, len(texts), 64):
            some = texts[start : start + 64]
            tokens = token_batch(self.tokenizer, some, self.context, padding="longest").to(self.model.device)
            output = self.model.text_model(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            )
            rows.append(normalize(self.model.text_projection(output.pooler_output), dim=1).cpu())
        return torch.cat(rows)

    def _fit(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[1:]
        scale = self.size / min(height, width)
        size = (max(self.size, round(height * scale)), max(self.size, round(width * scale)))
        if size != (height, width):
            picture = interpolate(picture[None], size=size, mode=self.filter, antialias=True)[0].clamp(0, 1)
        top, left = (size[0] - self.size) // 2, (size[1] - self.size) // 2
        return picture[:, top : top + self.size, left : left + self.size]


class ClipScorer(Scorer):
    """A CLIP that is neither redacted nor part of the generator.

    Rows may be labelled ``concept``, ``style``, ``kind`` and ``reference``, as for the grader.

    - *found by CLIP*: of all classes, the label's text is nearest to the picture.
    - *reference found by CLIP*: the reference's is; redacted rows only.
    - *CLIP score*: 100 times the cosine of picture and prompt, not below 0 (Hessel et al. 2021).
      Scores of different CLIPs cannot be compared.

    Args:
        folder: Of a ``CLIPModel``; default: the bundled judge.
        concepts: Classes for zero-shot; default: the bundled vocabulary.
        styles: Classes for rows of the kind ``style``; default: the bundled styles.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "found by CLIP": Metric(
            "rate", redacted="low", retained="as base",
            note="of the names of all concepts or styles, the one asked for fits the picture best (zero-shot)",
        ),
        "reference found by CLIP": Metric(
            "rate", redacted="high", retained=None,
            note="of the names of all concepts or styles, that of the reference fits the picture best",
        ),
        "CLIP score": Metric(
            "mean", redacted="low", retained="as base", note="how well the picture fits its whole prompt, 0 to 100"
        ),
    }  # fmt: skip
    about = "a CLIP that is not part of the generator"

    def __init__(
        self,
        folder: Path | None = None,
        concepts: list[str] | None = None,
        styles: list[str] | None = None,
    ):
        self.clip = Clip(at_home(folder) if folder else JUDGE)
        self.concepts = list(concepts or bundled_vocabulary().concepts)
        self.styles = list(styles or bundled_vocabulary().styles)
        self._concept_texts = self.clip.read([with_article(name) for name in self.concepts])

    @property
    def files(self) -> Mapping[str, Path]:
        return self.clip.files

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.clip.model,)

    def read(self, path: Path) -> Tensor:
        return read_picture(path)

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        seen = self.clip.see(samples)
        asked = self.clip.read([trial.row.condition for trial in rows])
        fits = 100 * (seen * asked).sum(1).clamp(min=0)
        found: list[dict[str, float]] = []
        for picture, trial, fit in zip(seen, rows, fits.tolist(), strict=True):
            labels = trial.row.labels
            scores = {"CLIP score": fit}
            kind = labels.get("kind", "concept")
            if kind in labels:
                names, texts = self._classes(kind, labels.get("concept"))
                best = names[int((texts @ picture).argmax())]
                scores["found by CLIP"] = _is(best, labels[kind], names)
                if trial.row.redacted and "reference" in labels:
                    scores["reference found by CLIP"] = _is(best, labels["reference"], names)
            found.append(scores)
        return found

    def _classes(self, kind: str, concept: str | None) -> tuple[list[str], Tensor]:
        """Names and ``(names, dim)`` texts; a style is asked for together with what it draws."""
        if kind != "style":
            return self.concepts, self._concept_texts
        what = with_article(concept) if concept else "a picture"
        return self.styles, self.clip.read([f"{what} in {style} style" for style in self.styles])


def _is(best: str, wanted: str, names: Sequence[str]) -> float:
    return float(best == wanted) if wanted in names else math.nan
