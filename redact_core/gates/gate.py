"""A gate: a small network that says for an embedding whether it goes through or is replaced."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from redact_core.gates.geometry import POOL, empty_network

SHARPNESS = 1e9
"""A step of single precision near 1, 6e-8, is enough to open a gate wholly.

Between shut and open lies no mixture: one of an embedding and the answer could be the redacted voice itself.
"""


class Gate(nn.Module):
    """``y = (1 - g(e)) e + g(e) r`` with ``g(e)`` 0 or 1: a steep ramp behind a hard clamp.

    Where ``g(e)`` is 0 the embedding keeps every bit; where it is 1 nothing of it is left.

    Args:
        net: ``(..., dim)`` -> ``(..., 1)``, the *opening*: above 0 the gate is open, else shut.
        answer: ``(dim,)`` what stands in for an embedding behind an open gate.
    """

    answer: Tensor

    def __init__(self, net: nn.Module, answer: Tensor):
        super().__init__()
        self.net = net
        self.register_buffer("answer", answer.detach().clone())

    def opening(self, embedding: Tensor) -> Tensor:
        """``(...,)`` before the clamp, with its gradient: what an attacker who knows the gate looks at."""
        return self.net(embedding).squeeze(-1)

    def forward(self, embedding: Tensor) -> Tensor:
        """``(..., dim)`` -> the same shape."""
        g = torch.nn.functional.hardtanh(SHARPNESS * self.net(embedding), 0.0, 1.0)
        return embedding * (1 - g) + g * self.answer


def gate_like(state: Mapping[str, Tensor]) -> Gate:
    """The gate whose ``state_dict`` is ``state``: its sizes follow from the tensors."""
    answer, rows = state["answer"], state["net.1.weight"]
    gate = Gate(empty_network(len(answer), len(rows) // POOL - 1), answer)
    gate.load_state_dict(dict(state))
    return gate.eval().requires_grad_(False)
