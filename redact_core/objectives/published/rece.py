"""RECE: what the edited maps still read as the concept is looked for in closed form and edited away, in rounds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from redact_core.errors import RedactError
from redact_core.objectives._parts.map_rows import MapPlaces, Places
from redact_core.objectives.published.uce import UCE, multiply


class RECE(UCE):
    """RECE: looks for what the edited maps still read as the concept, and edits that away too, in closed form and in rounds.

    Gong et al., "Reliable and Efficient Concept Erasure" (ECCV 2024, arXiv 2407.12383), eq. 9 to 11.

    After :class:`UCE` has made ``W'`` of the maps ``W``, each round takes the vector that the edited maps read as the
    untouched ones read the concept, and edits it to the reference as well::

        c' = (sum W'^T W' + ridge I)^-1 (sum W'^T W) c

    Known traps: ``W`` stays the untouched map in all rounds, else the rounds look for what is gone. The ridge keeps
    ``c'`` near 0 where the edit has removed the concept altogether; a small one gives long vectors, whose edit then
    outweighs all that is preserved. The authors use 0.1 for nudity and 0.001 for other concepts.

    Args:
        rounds: Of derived vectors; 0 is :class:`UCE`.
        ridge: Of the derivation.
        erase_weight: Of redacted names.
        preserve_weight: Of retained names.
        keep_weight: Of the map as it was before each edit.
        places: As :class:`UCE` has them.

    Raises:
        RedactError: A number is out of range; on solving, the model has no such maps.
    """

    def __init__(
        self,
        rounds: int = 2,
        ridge: float = 1e-3,
        erase_weight: float = 1.0,
        preserve_weight: float = 1.0,
        keep_weight: float = 0.5,
        places: Places = "last",
    ):
        super().__init__(erase_weight, preserve_weight, keep_weight, places)
        if rounds < 0:
            raise RedactError(f"rounds is {rounds}; give at least 0.")
        if not 0 < ridge < float("inf"):
            raise RedactError(f"ridge is {ridge}; give a finite number above 0.")
        self.rounds, self.ridge = rounds, ridge

    def edit(self, maps: Mapping[str, nn.Module], places: MapPlaces) -> None:
        before = [module.get_parameter("weight").detach().double() for module in maps.values()]
        square = torch.stack([w.T @ w for w in before]).sum(0).to(places.asked.device)  # sum W^T W
        whole = self.factor(places.asked, places.wanted, places.kept)
        for _ in range(self.rounds):
            found = self.derived(square, whole, places.asked)
            whole = whole @ self.factor(found, places.wanted, places.kept)
        multiply(maps, whole)

    def derived(self, square: Tensor, factor: Tensor, asked: Tensor) -> Tensor:
        """``(names, dim)`` c' of each c.

        Args:
            square: ``(dim, dim)`` ``sum W^T W`` of the untouched maps.
            factor: ``(dim, dim)`` of the edit so far: ``W' = W factor``.
            asked: ``(names, dim)`` c.
        """
        ridge = self.ridge * torch.eye(len(square), dtype=torch.float64, device=square.device)
        return torch.linalg.solve(factor.T @ square @ factor + ridge, factor.T @ square @ asked.T).T
