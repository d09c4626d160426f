"""The diagonal of the Fisher information of a generator's parameters, and the file that keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from redact_core.adapters.capabilities import HasTrainingLoss
from redact_core.adapters.fingerprint import weights_digest
from redact_core.errors import RedactError
from redact_core.support.tensor_file import read_tensors, write_tensors
from redact_core.support.whole_numbers import WholeNumbers
from redact_core.types import Conditioning


@dataclass(frozen=True)
class FisherSettings(WholeNumbers):
    """How it is estimated; kept in the file."""

    samples: int
    """How many samples, each of them differentiated alone."""
    times: int | None = None
    """Time steps visited of every sample, evenly spaced; ``None``: all of them. Fewer are an approximation."""
    seed: int = 0

    def visited(self, steps: int) -> list[int]:
        """The time steps of ``steps`` that are visited."""
        count = steps if self.times is None else min(self.times, steps)
        return [int((i + 0.5) * steps / count) for i in range(count)]


def diagonal_fisher(
    adapter: HasTrainingLoss,
    conditioning: Conditioning,
    samples: Sequence[Tensor],
    settings: FisherSettings,
    parameters: dict[str, nn.Parameter],
    made: Sequence[int] | None = None,
    chunk: int = 32,
) -> dict[str, Tensor]:
    """``mean over samples of (d/d theta_i of the sum over t of the training loss)^2`` (Heng & Soh 2023).

    The gradient is summed over a sample's time steps *before* it is squared. Where only some time
    steps are visited, the sum is scaled up to all of them.

    Args:
        adapter: With a training loss.
        conditioning: ``batch`` rows, one for each sample.
        samples: The generator's own.
        settings: Which times, which noise.
        parameters: Those of ``adapter.generator`` that are wanted.
        made: Seeds that the samples were generated with, where these choose more than noise.
        chunk: Time steps that are differentiated together.

    Returns:
        Name -> tensor of the parameter's shape, not negative.
    """
    steps = adapter.time_steps
    times = settings.visited(steps)
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for i, sample in enumerate(samples):
        sums = [torch.zeros_like(p) for p in parameters.values()]
        for start in range(0, len(times), chunk):
            part = times[start : start + chunk]
            row = conditioning[torch.full((len(part),), i)]
            seeds = [(settings.seed * 1_000_003 + i) * steps + t for t in part]
            if made is not None:
                seeds = [adapter.choosing(seed, made[i]) for seed in seeds]
            given = {} if steps == 1 else {"times": part}
            loss = adapter.training_loss(row, [sample] * len(part), seeds=seeds, **given).sum()
            grads = torch.autograd.grad(
                loss, list(parameters.values()), allow_unused=True, materialize_grads=True
            )
            sums = [a + b for a, b in zip(sums, grads, strict=True)]
        scale = steps / len(times)
        for name, value in zip(total, sums, strict=True):
            total[name] += (scale * value).square() / len(samples)
    return total


def save_fisher(
    path: Path, fisher: dict[str, Tensor], settings: FisherSettings, generator: nn.Module
) -> None:
    """Write it with its settings and the digest of the weights that it belongs to."""
    metadata = {key: str(value) for key, value in asdict(settings).items()}
    write_tensors(path, fisher, metadata | {"weights": weights_digest(generator)})


def load_fisher(
    path: Path, settings: FisherSettings, generator: nn.Module, parameters: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    """Read what :func:`save_fisher` wrote.

    Raises:
        RedactError: The file is unreadable, belongs to other weights, was made with other settings,
            or lacks a parameter.
    """
    tensors, found = read_tensors(path)
    if found.get("weights") != weights_digest(generator):
        raise RedactError(f"{path} holds the Fisher information of other weights; name another file.")
    for key, value in asdict(settings).items():
        if found.get(key) != str(value):
            raise RedactError(
                f"{path} was made with {key} = {found.get(key)}, {value} is asked for; name another file."
            )
    missing = sorted(set(parameters) - set(tensors))
    if missing:
        raise RedactError(f"{path} does not hold {missing[0]}; name another file.")
    return {name: tensors[name].to(p.device) for name, p in parameters.items()}
