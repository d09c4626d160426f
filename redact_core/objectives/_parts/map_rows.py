"""Places of conditionings, and what the generator's maps make of them: for edits of these maps in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.generator_parts import HasConditioningMaps
from redact_core.objectives._parts.bare_rows import bare_rows
from redact_core.objectives.base import BatchLike
from redact_core.types import Condition, Lesson, Mean

Places = Literal["last", "rest"]
_CHUNK = 128


class MapPlaces:
    """Vectors of the untouched encoder: ``asked`` and ``wanted`` of what is redacted, and ``kept``.

    Args:
        adapter: The model.
        maps: The same, as what has maps.
        lessons: All rows; those that say a name alone are used.
        places: ``last``: the last word's position; ``rest``: all from there to the end, where the two are aligned.
    """

    asked: Tensor  # (places, dim)
    wanted: Tensor  # (places, dim)
    kept: Tensor  # (places, dim)

    @torch.no_grad()
    def __init__(
        self, adapter: Adapter, maps: HasConditioningMaps, lessons: Sequence[Lesson], places: Places
    ):
        self._adapter, self._maps, self._rest = adapter, maps, places == "rest"
        gone, kept = bare_rows(lessons)
        named: list[Condition] = []
        for row in gone:
            named += [row.asked, *(row.answer.conditions if isinstance(row.answer, Mean) else [row.answer])]
        known = self._read([*named, *(row.asked for row in kept)])
        asked: list[Tensor] = []
        wanted: list[Tensor] = []
        for row in gone:
            parts = row.answer.conditions if isinstance(row.answer, Mean) else (row.answer,)
            answers = [known[part] for part in parts]
            n = min(len(found) for found in (known[row.asked], *answers))
            asked.append(known[row.asked][:n])
            wanted.append(torch.stack([found[:n] for found in answers]).mean(0))
        self.asked, self.wanted = torch.cat(asked), torch.cat(wanted)
        dim = self.asked.shape[1]
        self.kept = torch.cat([self.asked.new_zeros(0, dim), *(known[row.asked] for row in kept)])

    def _read(self, conditions: Sequence[Condition]) -> Mapping[Condition, Tensor]:
        """``(places, dim)`` in double precision for each condition."""
        found: dict[Condition, Tensor] = {}
        distinct = list(dict.fromkeys(conditions))
        for start in range(0, len(distinct), _CHUNK):
            part = distinct[start : start + _CHUNK]
            hidden = self._adapter.encode(part).hidden.double()
            ends = self._maps.last_words(part).tolist()
            for condition, states, end in zip(part, hidden, ends, strict=True):
                found[condition] = states[end:] if self._rest else states[end : end + 1]
        return found


class MapRows:
    """Nothing is trained on these rows: they measure how far the maps are from what is wanted.

    Args:
        places: Vectors of the encoder.
        names: Of the maps, in the generator.
        teacher: The generator as it was.
    """

    def __init__(self, places: MapPlaces, names: Sequence[str], teacher: nn.Module):
        self._places, self._names = places, list(names)
        self.weight = torch.ones(len(places.asked) + len(places.kept))
        self._wanted = self._of(teacher, places.wanted)
        self._stays = self._of(teacher, places.kept)

    def __len__(self) -> int:
        return len(self.weight)

    def batch(self, rows: Tensor, weight: Tensor | None = None, *, turn: int = 0) -> BatchLike:
        """Never asked for.

        Raises:
            NotImplementedError: Always.
        """
        del rows, weight, turn
        raise NotImplementedError("maps that were solved for are not trained")

    @torch.no_grad()
    def measure(self, student: nn.Module) -> dict[str, float]:
        """Mean squared distance of the maps' results from what is wanted, over all maps."""
        gone, kept = self._of(student, self._places.asked), self._of(student, self._places.kept)
        return {
            "redact distance": _distance(gone, self._wanted),
            "retain distance": _distance(kept, self._stays),
        }

    @torch.no_grad()
    def _of(self, generator: nn.Module, vectors: Tensor) -> list[Tensor]:
        maps = [generator.get_submodule(name).get_parameter("weight") for name in self._names]
        return [vectors.to(weight) @ weight.T for weight in maps]


def _distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    if not len(found[0]):
        return 0.0
    parts = [(a - b).square().mean() for a, b in zip(found, wanted, strict=True)]
    return torch.stack(parts).mean().item()
