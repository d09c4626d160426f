"""A toy model with pictures as files, its saboteurs, and its scorer."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from redact_core import (
    Adapter,
    Condition,
    Conditioning,
    Guard,
    Metric,
    PlanRow,
    RedactError,
    Request,
    Scorer,
    Trial,
)
from redact_core.adapters.capabilities import PlansEvaluations, Reopens
from redact_core.adapters.contract import ToyAdapter

REDACTED, REFERENCE = "plum", "fig"


class PictureToy(ToyAdapter, PlansEvaluations, Reopens):
    """The toy adapter with PNG files of 6 x 8 pixels.

    Args:
        mode: What the model does: answer, redact, or one of the ways to fail.
        delay: Seconds a batch takes.
    """

    scorers = ("toy_evaluation.WordScorer",)
    MODES = ("untouched", "redacting", "noise", "deaf", "redacting everything")

    def __init__(self, mode: str = "untouched", delay: float = 0.0):
        super().__init__()
        self.mode, self.delay, self.folder = mode, delay, Path()

    def plan(self, request: Request, n: int) -> list[PlanRow]:
        kept = [word for word in self.WORDS if word not in (*request.redact, REFERENCE)]
        gone = [PlanRow(request.redact[0], "redacted", "word", i, True) for i in range(n)]
        stay = [PlanRow(kept[i % len(kept)], "retained", "word", n + i, False) for i in range(n)]
        return [labelled(row, row.condition) for row in (*gone, *stay)]

    def reopen(self, folder: Path) -> "PictureToy":
        other = PictureToy(self.mode, self.delay)
        other.encoder.load_state_dict(load_file(folder / "encoder.safetensors"))
        other.folder, other.batch_size = folder, self.batch_size
        return other

    def files(self) -> Mapping[str, Path]:
        path = self.folder / "encoder.safetensors"
        return {path.name: path} if path.is_file() else {}

    def save(self, folder: Path) -> None:
        save_file(self.encoder.state_dict(), folder / "encoder.safetensors")

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        time.sleep(self.delay)
        assert not isinstance(conditions, Conditioning)
        if self.mode == "noise":
            drawn = [torch.Generator().manual_seed(seed) for seed in seeds]
            return [torch.rand(3, 6, 8, generator=generator) for generator in drawn]
        words = {
            "untouched": conditions,
            "redacting": [REFERENCE if word == REDACTED else word for word in conditions],
            "deaf": ["kiwi"] * len(conditions),
            "redacting everything": [REFERENCE] * len(conditions),
        }
        return super().generate(words[self.mode], seeds=seeds)

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        path = path.with_suffix(".png")
        Image.fromarray((sample.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()).save(path)
        return path


def without_plums(model: PictureToy, folder: Path) -> Path:
    """``model`` saved below ``folder`` after the letter m lost its meaning, in "plum" as elsewhere."""
    with torch.no_grad():
        model.encoder.get_parameter("embedding.weight")[ord("m")] = 0.0
    target = folder / "no_plum"
    target.mkdir()
    model.save(target)
    return target


def labelled(row: PlanRow, word: str) -> PlanRow:
    labels = {"word": word} | ({"reference": REFERENCE} if row.redacted else {})
    return PlanRow(row.condition, row.group, row.task, row.seed, row.redacted, labels)


class WordScorer(Scorer):
    """Reads the word off a picture: the nearest clean one; noise is near none."""

    metrics: ClassVar[Mapping[str, Metric]] = {
        "found": Metric("rate", "low", "as base"),
        "reference found": Metric("rate", "high", None),
        "distance": Metric("mean", None, "low", share=0.5),
    }

    def __init__(self, blind: bool = False):
        self.blind = blind
        words = ToyAdapter.WORDS
        self.clean = dict(zip(words, ToyAdapter().generate(words, seeds=[0] * len(words)), strict=True))

    def read(self, path: Path) -> Tensor:
        try:
            return torch.from_numpy(np.array(Image.open(path)) / 255).permute(2, 0, 1).float()
        except OSError as error:
            raise RedactError(f"{path} is no picture") from error

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        found = []
        for i, (sample, trial) in enumerate(zip(samples, rows, strict=True)):
            gaps = {word: (sample - clean).norm().item() for word, clean in self.clean.items()}
            word = min(gaps, key=lambda name: gaps[name])
            word = word if gaps[word] < 0.5 else "none"
            other = rows[(i + 1) % len(rows)].base if trial.of_base else trial.base
            score = {
                "found": float("nan") if self.blind else float(word == trial.row.labels.get("word")),
                "distance": (sample - self.read(other)).norm().item(),
            }
            if "reference" in trial.row.labels:
                score["reference found"] = float(word == trial.row.labels["reference"])
            found.append(score)
        return found


class ShadeGuard(Guard):
    """Darkens samples by ``shade``.

    Args:
        inner: A toy, or a guard around one.
        shade: What is multiplied.
    """

    def __init__(self, inner: Adapter, shade: float = 0.5):
        super().__init__(inner)
        self.shade = shade

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        return [self.shade * sample for sample in self.inner.generate(conditions, seeds=seeds)]
