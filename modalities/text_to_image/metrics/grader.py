"""The bundled grader: what a picture, seen in 32 x 32, shows, in which style, on which background.

An independent residual network that never sees a prompt; it judges pictures and nothing else.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from redact_core.support.paths import at_home


@dataclass(frozen=True)
class Labels:
    """Class names in the order of the grader's outputs; concept index ``len(concepts)`` is none."""

    concepts: list[str]
    styles: list[str]
    backgrounds: list[str]


class _Block(nn.Module):
    def __init__(self, width_in: int, width: int, stride: int):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=False), nn.GroupNorm(8, width), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(8, width),
        )  # fmt: skip
        self.skip = nn.Conv2d(width_in, width, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.silu(self.main(x) + self.skip(x))


class Grader(nn.Module):
    """Pictures ``(batch, 3, 32, 32)`` in [-1, 1] -> logits of the three heads and features."""

    def __init__(
        self, concepts: int, styles: int, backgrounds: int, widths: tuple[int, ...] = (24, 48, 96, 160)
    ):
        super().__init__()
        stem = [nn.Conv2d(3, widths[0], 3, padding=1, bias=False)]
        pairs = zip((widths[0], *widths[:-1]), widths, (1, 2, 2, 2), strict=True)
        blocks = [_Block(a, b, stride) for a, b, stride in pairs]
        self.body = nn.Sequential(*stem, *blocks)
        self.features = 2 * widths[-1]
        self.concept = nn.Linear(16 * widths[-1], self.features)
        self.concept_out = nn.Linear(self.features, concepts + 1)
        self.style = nn.Linear(2 * widths[-1], styles)
        self.background = nn.Linear(2 * widths[-1], backgrounds)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """``concept (batch, concepts + 1)``, ``style``, ``background`` logits; ``features``."""
        maps = self.body(x)
        features = nn.functional.silu(self.concept(maps.flatten(1)))
        pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)
        return {
            "concept": self.concept_out(features),
            "style": self.style(pooled),
            "background": self.background(pooled),
            "features": features,
        }


def write_labels(folder: Path, concepts: list[str], styles: list[str], backgrounds: list[str]) -> None:
    """Write ``labels.json`` beside the weights."""
    labels = {"concepts": concepts, "styles": styles, "backgrounds": backgrounds}
    (folder / "labels.json").write_text(
        json.dumps(labels, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8"
    )


def load_grader(folder: Path) -> tuple[Grader, Labels]:
    """The grader of ``folder`` in evaluation mode and float32, and its class names."""
    labels = Labels(**json.loads((folder / "labels.json").read_text(encoding="utf-8")))
    grader = Grader(len(labels.concepts), len(labels.styles), len(labels.backgrounds))
    grader.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    return grader.eval().requires_grad_(False), labels


@dataclass(frozen=True)
class Verdict:
    """What the grader sees in pictures: names (``"none"`` for no known concept) and features."""

    concepts: list[str]
    styles: list[str]
    backgrounds: list[str]
    features: Tensor  # (pictures, features)


class Judge:
    """The grader with its labels, for pictures as adapters make them.

    Args:
        folder: Of the weights; default: the bundled grader.
    """

    def __init__(self, folder: Path | None = None):
        self.grader, self.labels = load_grader(
            at_home(folder or Path(__file__).parents[1] / "bundled" / "grader")
        )

    @torch.no_grad()
    def __call__(self, samples: Sequence[Tensor]) -> Verdict:
        """Judge pictures ``(3, height, width)`` in [0, 1] on the CPU; other sizes are averaged to 32 x 32."""
        names = [*self.labels.concepts, "none"]
        concepts, styles, backgrounds, features = [], [], [], []
        for start in range(0, len(samples), 128):
            x = torch.stack(list(samples[start : start + 128])) * 2 - 1
            if x.shape[-2:] != (32, 32):
                # averaged, as the pictures that it learnt from were made of larger ones
                x = nn.functional.interpolate(x, size=(32, 32), mode="area")
            heads = self.grader(x.to(self.grader.concept.weight.device))
            concepts += [names[i] for i in heads["concept"].argmax(1).tolist()]
            styles += [self.labels.styles[i] for i in heads["style"].argmax(1).tolist()]
            backgrounds += [self.labels.backgrounds[i] for i in heads["background"].argmax(1).tolist()]
            features.append(heads["features"].cpu())
        return Verdict(concepts, styles, backgrounds, torch.cat(features))
