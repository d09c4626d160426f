"""What the card tells of gates: how far embeddings of a request's conditions moved, and how near they came to who answers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from redact_core.adapters.base import to_device_of
from redact_core.gates.gated import GatedEncoder, one_vector
from redact_core.objectives.distances import conditioning_distance, group_mean
from redact_core.objectives.targets import MEASURED, Targets
from redact_core.support.devices import device_of
from redact_core.types import Conditioning

_CHUNK = 64


class GateTargets(Targets):
    """Targets of conditions that are embedded once: gates change nothing of the encoder that they stand behind."""

    _embedded: Conditioning | None = None

    @torch.no_grad()
    def measure(self, student: nn.Module, limit: int = MEASURED) -> dict[str, float]:
        """As :meth:`Targets.measure`, of all rows; where nothing is redacted ``retain distance`` alone."""
        if not isinstance(student, GatedEncoder):  # several vectors in parallel
            found = super().measure(student, limit)
        else:
            rows = torch.arange(len(self))
            if self._embedded is None:
                parts = [self.batch(part).asked for part in rows.split(_CHUNK)]
                self._embedded = Conditioning.cat(
                    [one_vector(student.encoder(to_device_of(student, x))).to("cpu") for x in parts]
                )
            front = self._embedded.to(device_of(student))
            behind = replace(front, hidden=student.through(front.hidden)).to("cpu")
            distance = conditioning_distance(behind, self.batch(rows).target)
            found = {
                "redact distance": group_mean(distance, self.redacted).item(),
                "retain distance": group_mean(distance, ~self.redacted).item(),
            }
        return found if self.redacted.any() else {"retain distance": found["retain distance"]}
