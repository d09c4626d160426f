"""Quality of speech without a reference: torchaudio's SQUIM, with weights that the user provides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchaudio.models import squim_objective_base

from modalities.sound.clips import RATE
from modalities.text_to_speech.judges.sound_files import read_sound
from redact_core import Metric, RedactError, Scorer, Trial
from redact_core.errors import first_line
from redact_core.support.paths import at_home


class SquimScorer(Scorer):
    """Estimated STOI (0 to 1), PESQ (1 to 4.6) and SI-SDR in dB (Kumar et al. 2023).

    Estimates of a network, not the measures themselves. Optional: without its weights it is not used.

    Args:
        weights: ``squim_objective_dns2020.pth`` of torchaudio, a plain state dict.

    Raises:
        RedactError: The file is missing or does not fit.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        name: Metric("mean", redacted="as base", retained="as base")
        for name in ("STOI (SQUIM)", "PESQ (SQUIM)", "SI-SDR (SQUIM)")
    }

    def __init__(self, weights: Path):
        self.weights = at_home(weights)
        if not self.weights.is_file():
            raise RedactError(
                f"There is no file {weights}; give torchaudio's squim_objective_dns2020.pth, or leave SquimScorer out."
            )
        self.model = squim_objective_base()
        try:
            state = torch.load(self.weights, map_location="cpu", weights_only=True)  # noqa: TID251 their format
            self.model.load_state_dict(state)
        except Exception as error:  # unpickling and state dict errors alike
            reason = first_line(error)
            raise RedactError(f"{weights} does not fit SQUIM ({reason}); fetch it again.") from error
        self.model.eval().requires_grad_(False)

    @property
    def files(self) -> Mapping[str, Path]:
        return {self.weights.name: self.weights}

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.model,)

    def read(self, path: Path) -> Tensor:
        return read_sound(path)

    @torch.no_grad()
    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        del rows
        found: list[dict[str, float]] = []
        device = next(self.model.parameters()).device
        for wave in samples:
            if len(wave) < RATE // 2:  # too short for what it was trained on
                found.append(dict.fromkeys(self.metrics, math.nan))
                continue
            values = (value.item() for value in self.model(wave[None].to(device)))
            found.append(dict(zip(self.metrics, values, strict=True)))
        return found
