"""The bundled judge: a small convolutional network that names the class of a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from redact_core import RedactError
from redact_core.support.paths import at_home


class Classifier(nn.Module):
    """Pictures ``(batch, 1, 28, 28)`` in [0, 1] -> logits ``(batch, classes)``."""

    def __init__(self, classes: int, width: int = 16):
        super().__init__()

        def block(a: int, b: int) -> list[nn.Module]:
            return [nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(4, b), nn.SiLU(), nn.MaxPool2d(2)]

        self.body = nn.Sequential(*block(1, width), *block(width, 2 * width), *block(2 * width, 4 * width))
        self.head = nn.Linear(9 * 4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(2 * x - 1).flatten(1))


class Judge:
    """The classifier with its class names.

    Args:
        folder: Holds ``labels.json`` and ``model.safetensors``; default: the bundled one.

    Raises:
        RedactError: The folder holds none.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = at_home(folder or Path(__file__).with_name("bundled") / "classifier")
        try:
            self.names: list[str] = json.loads((self.folder / "labels.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RedactError(
                f"{self.folder} holds no classifier: labels.json is missing or damaged; give another folder."
            ) from error
        self.network = Classifier(len(self.names))
        state = load_file(self.folder / "model.safetensors")
        self.network.load_state_dict({name: value.float() for name, value in state.items()})
        self.network.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, samples: Sequence[Tensor]) -> Tensor:
        """Probabilities ``(samples, classes)`` of pictures ``(1, 28, 28)`` in [0, 1]."""
        parts = torch.stack(list(samples)).split(256)
        return torch.cat(
            [self.network(part.to(self.network.head.weight.device)).softmax(1).cpu() for part in parts]
        )


def entropy(probabilities: Tensor) -> Tensor:
    """``(samples,)`` in nats; the greatest is ``ln(classes)``."""
    return torch.special.entr(probabilities).sum(1)
