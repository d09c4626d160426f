"""A gate: a small network that says for an embedding whether it goes through, is moved away, or is replaced."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from redact_core.gates.geometry import POOL, empty_network

SHARPNESS = 2.0**30
"""A step of single precision near 1, 6e-8, is enough to replace an embedding wholly; a power of two loses no bit.

Between moved and replaced lies no mixture: one of an embedding and the answer could be the redacted voice itself.
"""


class Gate(nn.Module):
    """``y = (1 - g) (e - |e| max(x, 0) away) + g answer``, with the excess ``x`` of ``e`` and ``g`` 1 where ``x > sure``, else 0.

    Where ``x`` is at most 0 the embedding keeps every bit; where ``g`` is 1 nothing of it is left.

    Args:
        net: ``(..., dim)`` -> ``(..., 1)``, the excess.
        answer: ``(dim,)`` what stands in for an embedding that is replaced.
        away: ``(dim,)`` where an embedding of length 1 is moved away from, for each unit of excess; default: nowhere.
        sure: Excess from which an embedding is replaced.
    """

    answer: Tensor
    away: Tensor
    sure: Tensor

    def __init__(self, net: nn.Module, answer: Tensor, away: Tensor | None = None, sure: float = 0.0):
        super().__init__()
        self.net = net
        self.register_buffer("answer", answer.detach().clone())
        self.register_buffer("away", torch.zeros_like(self.answer) if away is None else away.detach().clone())
        self.register_buffer("sure", torch.tensor([sure]))

    def opening(self, embedding: Tensor) -> Tensor:
        """``(...,)`` the excess, with its gradient: what an attacker who knows the gate looks at."""
        return self.net(embedding).squeeze(-1)

    def forward(self, embedding: Tensor) -> Tensor:
        """``(..., dim)`` -> the same shape."""
        excess = self.net(embedding)
        g = torch.nn.functional.hardtanh(SHARPNESS * excess - SHARPNESS * self.sure, 0.0, 1.0)
        length = embedding.norm(dim=-1, keepdim=True)
        moved = embedding - length * torch.relu(excess) * self.away
        return moved * (1 - g) + g * self.answer


def gate_like(state: Mapping[str, Tensor]) -> Gate:
    """The gate whose ``state_dict`` is ``state``: its sizes follow from the tensors."""
    answer, rows = state["answer"], state["net.1.weight"]
    gate = Gate(empty_network(len(answer), len(rows) // POOL - 1), answer)
    gate.load_state_dict(dict(state))
    return gate.eval().requires_grad_(False)
