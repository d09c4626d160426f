"""FID and KID by torchmetrics, with the weights of the Inception network that the user provides."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from modalities.picture_files import to_bytes
from modalities.text_to_image.metrics.feature_distances import FeatureDistances, distances_named
from redact_core import Metric, RedactError
from redact_core.errors import first_line
from redact_core.support.paths import at_home


class InceptionDistances(FeatureDistances):
    """Fréchet (Heusel et al. 2017) and kernel inception distance (Bińkowski et al. 2018).

    To the base and to real pictures apart; published figures are to real pictures and of 10,000 or
    30,000 of them. KID is over one subset as large as the smaller set.

    Args:
        weights: ``pt_inception-2015-12-05-6726825d.pth`` of torch-fidelity, which must be installed.
        real: Folder of real pictures; without it there is only the base to compare with.

    Raises:
        RedactError: The file is missing or does not fit, or torch-fidelity is not installed.
    """

    metrics: ClassVar[Mapping[str, Metric]] = distances_named("FID", "KID")

    def __init__(self, weights: Path, real: Path | None = None):
        super().__init__(real)
        self.path = at_home(weights)
        if not self.path.is_file():
            raise RedactError(f"There is no file {weights}; give the Inception weights of torch-fidelity.")
        self.network = inception(self.path)

    @property
    def weights(self) -> Mapping[str, Path]:
        return {self.path.name: self.path}

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.network,)

    @torch.no_grad()
    def features(self, pictures: Sequence[Tensor]) -> Tensor:
        pixels = to_bytes(torch.stack(list(pictures)))
        device = next((p.device for p in self.network.parameters()), pixels.device)
        return self.network(pixels.to(device)).cpu()

    def frechet(self, a: Tensor, b: Tensor) -> float:
        metric = FrechetInceptionDistance(feature=_Ready(a.shape[1])).set_dtype(torch.float64)
        metric.update(a.double(), real=False)
        metric.update(b.double(), real=True)
        return metric.compute().item()

    def kernel(self, a: Tensor, b: Tensor) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it keeps all features; they are here already
            metric = KernelInceptionDistance(
                feature=_Ready(a.shape[1]), subsets=1, subset_size=min(len(a), len(b))
            )
        metric.update(a.double(), real=False)
        metric.update(b.double(), real=True)
        with torch.random.fork_rng([]):
            torch.manual_seed(0)  # noqa: TID251 torchmetrics draws its subset from the global generator
            return metric.compute()[0].item()


class _Ready(nn.Module):
    """Features that were computed before, so that intervals do not need the network again."""

    def __init__(self, width: int):
        super().__init__()
        self.num_features = width

    def forward(self, x: Tensor) -> Tensor:
        return x


def inception(weights: Path) -> nn.Module:
    """Pictures ``(batch, 3, height, width)`` uint8 -> ``(batch, 2048)``.

    Raises:
        RedactError: torch-fidelity is not installed, or the file does not fit.
    """
    try:
        return FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=str(weights)).inception
    except ModuleNotFoundError as error:
        raise RedactError(
            "FID and KID need the network of torch-fidelity; install torch-fidelity, or leave "
            "InceptionDistances out."
        ) from error
    except Exception as error:  # unpickling and state dict errors alike
        reason = first_line(error)
        raise RedactError(f"{weights} does not fit Inception ({reason}); fetch it again.") from error
