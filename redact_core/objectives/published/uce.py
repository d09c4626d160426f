"""Unified Concept Editing: the generator's keys and values of a concept become those of its reference, in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasTrainingLoss, require
from redact_core.adapters.generator_parts import HasConditioningMaps, generator_of
from redact_core.errors import RedactError
from redact_core.objectives._parts.chosen_parameters import train_only, without_gradients
from redact_core.objectives._parts.map_rows import MapPlaces, MapRows, Places
from redact_core.objectives.base import Objective
from redact_core.types import Lesson


class UCE(Objective):
    """Unified Concept Editing: the generator's keys and values of a concept become those of its reference, in closed form.

    Gandikota et al., "Unified Concept Editing in Diffusion Models" (WACV 2024, arXiv 2308.14761), eq. 7.

    With ``W`` a map that reads the conditioning, ``c`` the vector of a redacted name, ``g`` that of its reference and
    ``p`` those of retained names::

        W' = (keep W + erase sum (W g) c^T + preserve sum (W p) p^T) (keep I + erase sum c c^T + preserve sum p p^T)^-1

    ``W`` can be taken out to the left, so that ``W' = W M`` with the same ``M`` for every map: the edit is a linear
    map of the conditioning. The encoder is not changed. Nothing is trained.

    Known traps: the authors' code of 2025 takes the last word's position alone, their code of 2023 all positions from
    there to the end. A denoiser that also reads the end and the padding, as Stable Diffusion's does, finds the concept
    there (``places``). Sums are sums, not means: many retained names outweigh one redacted name.

    Args:
        erase_weight: Of redacted names.
        preserve_weight: Of retained names; 0 leaves them out.
        keep_weight: Of the map as it was; more changes less.
        places: ``last``: the last word's position; ``rest``: all positions from there to the end.

    Raises:
        RedactError: A weight is out of range; on solving, the model has no such maps.
    """

    needs = (
        HasConditioningMaps,
        HasTrainingLoss,
    )
    solvable = False
    solve_runs_encoder = True
    scope = (
        "Maps of the generator in this folder that read the conditioning were changed, its encoder was not. Putting "
        "the generator's stock file back brings the redacted conditions back, and so "
        "may training it again, and conditions that somebody learns from samples of what was redacted."
    )

    def __init__(
        self,
        erase_weight: float = 1.0,
        preserve_weight: float = 1.0,
        keep_weight: float = 0.5,
        places: Places = "last",
    ):
        super().__init__()
        for name, value in {"erase_weight": erase_weight, "preserve_weight": preserve_weight}.items():
            if not 0 <= value < float("inf"):
                raise RedactError(f"{name} is {value}; give a finite number of at least 0.")
        if not 0 < keep_weight < float("inf"):
            raise RedactError(f"keep_weight is {keep_weight}; give a finite number above 0.")
        if places not in ("last", "rest"):
            raise RedactError(f"places is {places!r}; give last or rest.")
        self.erase_weight, self.preserve_weight, self.keep_weight = erase_weight, preserve_weight, keep_weight
        self.places: Places = places

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The generator, with gradients for its maps alone, although none is taken.

        Raises:
            RedactError: It has no maps that read the conditioning alone.
        """
        maps = require(adapter, HasConditioningMaps, type(self).__name__).conditioning_maps()
        weights = {f"{name}.weight" for name in maps}
        return train_only(generator_of(adapter, type(self).__name__), weights.__contains__, "It has no maps")

    def untouched(self, student: nn.Module) -> Sequence[nn.Parameter]:
        """All but the maps."""
        return without_gradients(student)

    def rows(self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int) -> MapRows:
        """Rows that measure the maps."""
        del seed
        maps = require(adapter, HasConditioningMaps, type(self).__name__)
        return MapRows(self._read(adapter, lessons), list(maps.conditioning_maps()), teacher)

    @torch.no_grad()
    def solve(self, adapter: Adapter, lessons: Sequence[Lesson], *, seed: int = 0) -> bool:
        """Change the maps in place; True, for it always does."""
        del seed
        maps = require(adapter, HasConditioningMaps, type(self).__name__).conditioning_maps()
        self.edit(maps, self._read(adapter, lessons))
        self.solved = "Maps of the generator were solved for in closed form; nothing was trained."
        return True

    def edit(self, maps: Mapping[str, nn.Module], places: MapPlaces) -> None:
        """Change ``maps`` in place."""
        multiply(maps, self.factor(places.asked, places.wanted, places.kept))

    def factor(self, asked: Tensor, wanted: Tensor, kept: Tensor) -> Tensor:
        """``M (dim, dim)`` of ``W' = W M``, in double precision.

        Args:
            asked: ``(names, dim)`` c.
            wanted: ``(names, dim)`` g.
            kept: ``(names, dim)`` p.
        """
        unit = self.keep_weight * torch.eye(asked.shape[1], dtype=torch.float64, device=asked.device)
        stay = unit + self.preserve_weight * kept.T @ kept
        right = stay + self.erase_weight * asked.T @ asked
        left = stay + self.erase_weight * wanted.T @ asked
        return torch.linalg.solve(right, left, left=False)

    def forward(self, student: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Never asked for: :meth:`solve` has done all.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("maps that were solved for are not trained")

    def _read(self, adapter: Adapter, lessons: Sequence[Lesson]) -> MapPlaces:
        adapter.encoder.eval()
        maps = require(adapter, HasConditioningMaps, type(self).__name__)
        return MapPlaces(adapter, maps, lessons, self.places)


@torch.no_grad()
def multiply(maps: Mapping[str, nn.Module], factor: Tensor) -> None:
    """``W`` becomes ``W factor`` for each map, in place, computed in double precision."""
    for module in maps.values():
        weight = module.get_parameter("weight")
        weight.copy_(weight.double() @ factor.to(weight.device))
