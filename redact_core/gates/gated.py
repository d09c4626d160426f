"""An encoder with gates behind it, and how an attacker sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from redact_core.errors import RedactError
from redact_core.gates.gate import Gate
from redact_core.types import Conditioning


class Around(NamedTuple):
    """What an attacker has who knows of the gates; a shut gate has no gradient, its opening has one."""

    before: Tensor
    """``(batch, dim)`` in front of all gates."""
    behind: Tensor
    """``(batch, dim)`` behind them."""
    openings: Tensor
    """``(batch, gates)``; above 0 a gate is open."""
    moved: Tensor
    """``(batch, dim)`` behind them if they only moved and replaced nothing; with a gradient everywhere."""


class GatedEncoder(nn.Module):
    """``encoder`` with ``gates`` behind it, one after the other; each redaction has its own.

    Args:
        encoder: Inputs -> a conditioning that is one vector, ``hidden (batch, 1, dim)``.
        gates: In the order of their redactions.
    """

    gates: nn.ModuleList

    def __init__(self, encoder: nn.Module, gates: Iterable[Gate] = ()):
        super().__init__()
        self.encoder = encoder
        self.gates = nn.ModuleList(gates)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        found = self.encoder(inputs)
        return replace(found, hidden=self.through(one_vector(found).hidden))

    def through(self, hidden: Tensor) -> Tensor:
        """What the gates make of ``hidden (batch, 1, dim)``."""
        for gate in self.gates:
            hidden = gate(hidden)
        return hidden

    def seen(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What one more gate would see of ``hidden (batch, 1, dim)``, and ``(batch,)`` which a gate that is there replaces.

        Of what is replaced, it is what the gate that replaces it sees: it still tells whose it was.
        """
        gone = torch.zeros(len(hidden), dtype=torch.bool, device=hidden.device)
        for gate in self.gates:
            if isinstance(gate, Gate):
                gone = gone | (gate.opening(hidden)[:, 0] > gate.sure)
            hidden = torch.where(gone[:, None, None], hidden, gate(hidden))
        return hidden, gone

    def openings(self, hidden: Tensor) -> Tensor:
        """``(batch, gates)`` the opening of each gate for ``hidden (batch, 1, dim)``; above 0 it is open."""
        found = [gate.opening(hidden)[:, 0] for gate in self.gates if isinstance(gate, Gate)]
        return torch.stack(found, 1) if found else hidden.new_zeros(len(hidden), 0)


def one_vector(found: Conditioning) -> Conditioning:
    """``found``, if it is one vector a condition.

    Raises:
        RedactError: It has several positions, or a pooled vector beside them.
    """
    if found.hidden.shape[1] != 1 or found.pooled is not None:
        raise RedactError(
            f"A gate stands behind a conditioning that is one vector; this one has {found.hidden.shape[1]} positions"
            f"{'' if found.pooled is None else ' and a pooled vector'}. Use another objective."
        )
    return found


def around_gates(encoder: nn.Module, inputs: Mapping[str, Tensor]) -> Around:
    """What an attacker has who knows of the gates.

    Args:
        encoder: With gates or without; one without gives its embedding three times, and no opening.
        inputs: Of a batch.
    """
    if not isinstance(encoder, GatedEncoder):
        hidden = encoder(inputs).hidden[:, 0]
        return Around(hidden, hidden, hidden.new_zeros(len(hidden), 0), hidden)
    hidden = encoder.encoder(inputs).hidden
    moved = hidden
    for gate in encoder.gates:
        if isinstance(gate, Gate):
            moved = gate.moved(moved)
    return Around(hidden[:, 0], encoder.through(hidden)[:, 0], encoder.openings(hidden), moved[:, 0])
