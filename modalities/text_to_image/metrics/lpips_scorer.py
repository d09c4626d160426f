"""LPIPS by torchmetrics, with the weights of the backbone that the user provides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchmetrics.functional.image import lpips

from modalities.text_to_image.metrics.pairs import UNLIKE, PairScorer
from redact_core import RedactError
from redact_core.errors import first_line
from redact_core.support.paths import at_home

_ORDER = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}


class LpipsScorer(PairScorer):
    """Learned perceptual distance (Zhang et al. 2018) to the base's picture of the same prompt and seed.

    torchmetrics brings the linear heads and builds the backbone with torchvision; its weights are
    read from ``weights`` and never downloaded.

    Args:
        weights: Of torchvision's classifier, keys ``features.*``, as safetensors or a state dict.
        net: Which classifier it is.

    Raises:
        RedactError: The file is missing or of another network, or torchvision is not installed.
    """

    metrics = {"LPIPS": UNLIKE}  # noqa: RUF012

    def __init__(self, weights: Path, net: Literal["alex", "vgg", "squeeze"] = "alex"):
        self.weights = at_home(weights)
        if not self.weights.is_file():
            raise RedactError(f"There is no file {weights}; give torchvision's {_ORDER[net]} weights.")
        try:
            # random weights at first: anything else would be downloaded
            model = lpips._NoTrainLpips(net=net, pnet_rand=True)  # pyright: ignore[reportPrivateUsage]
        except ModuleNotFoundError as error:
            raise RedactError(
                "LPIPS needs torchvision's networks; install torchvision, or leave LpipsScorer out."
            ) from error
        state = {key.removeprefix("features."): value for key, value in _read(self.weights).items()}
        # torchmetrics keeps torchvision's numbers of the layers: slice2.3.weight is features.3.weight
        own = {key: key.partition(".")[2] for key in model.net.state_dict()}
        own = {key: short.removeprefix("layers.") for key, short in own.items()}
        missing = [key for key, short in own.items() if short not in state]
        try:
            if missing:
                raise KeyError(missing[0])
            model.net.load_state_dict({key: state[short] for key, short in own.items()})
        except (KeyError, RuntimeError) as error:
            reason = first_line(error)
            raise RedactError(
                f"{weights} does not fit {_ORDER[net]} ({reason}); give the weights of this network."
            ) from error
        self.model = model.eval().requires_grad_(False)

    @property
    def files(self) -> Mapping[str, Path]:
        return {self.weights.name: self.weights}

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.model,)

    def distance(self, a: Tensor, b: Tensor) -> float:
        if a.shape != b.shape:
            return torch.nan
        device = next(self.model.parameters()).device
        return self.model(a[None].to(device), b[None].to(device), normalize=True).squeeze().item()


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 torchvision's format
    except Exception as error:  # zip, unpickling and header errors alike
        raise RedactError(
            f"{path}: is no file of plain tensors; give safetensors or a state dict."
        ) from error
