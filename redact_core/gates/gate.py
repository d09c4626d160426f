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
    """``y = (1 - g) (e - |e| (max(x, 0) away + max(o, 0) aside)) + g answer``, ``g`` being 1 where ``x > sure``, else 0.

    ``x`` is the excess of ``e``, and ``o`` by how much it is above the cap. Where neither is above 0 the embedding keeps every
    bit; where ``g`` is 1 nothing of it is left.

    Args:
        net: ``(..., dim)`` -> ``(..., 2)``, the excess and how far above the cap.
        answer: ``(dim,)`` what stands in for an embedding that is replaced.
        away: ``(dim,)`` where an embedding of length 1 is moved away from, for each unit of excess; default: nowhere.
        aside: ``(dim,)`` the same for each unit above the cap.
        sure: Excess from which an embedding is replaced.
    """

    answer: Tensor
    away: Tensor
    aside: Tensor
    sure: Tensor

    def __init__(
        self,
        net: nn.Module,
        answer: Tensor,
        away: Tensor | None = None,
        aside: Tensor | None = None,
        sure: float = 0.0,
    ):
        super().__init__()
        self.net = net
        self.register_buffer("answer", answer.detach().clone())
        for name, value in (("away", away), ("aside", aside)):
            self.register_buffer(
                name, torch.zeros_like(self.answer) if value is None else value.detach().clone()
            )
        self.register_buffer("sure", torch.tensor([sure]))

    def opening(self, embedding: Tensor) -> Tensor:
        """``(...,)`` the excess, with its gradient: what an attacker who knows the gate looks at."""
        return self.net(embedding)[..., 0]

    def moved(self, embedding: Tensor) -> Tensor:
        """``(..., dim)`` what the gate would give if it replaced nothing, with its gradient."""
        return self._moved(embedding, self.net(embedding))

    def forward(self, embedding: Tensor) -> Tensor:
        """``(..., dim)`` -> the same shape."""
        found = self.net(embedding)
        g = torch.nn.functional.hardtanh(SHARPNESS * found[..., :1] - SHARPNESS * self.sure, 0.0, 1.0)
        return self._moved(embedding, found) * (1 - g) + g * self.answer

    def _moved(self, embedding: Tensor, found: Tensor) -> Tensor:
        steps = embedding.norm(dim=-1, keepdim=True) * torch.relu(found)
        return embedding - (steps[..., :1] * self.away + steps[..., 1:] * self.aside)


def gate_like(state: Mapping[str, Tensor]) -> Gate:
    """The gate whose ``state_dict`` is ``state``: its sizes follow from the tensors."""
    answer, rows = state["answer"], state["net.1.weight"]
    gate = Gate(empty_network(len(answer), len(rows) // POOL - 1), answer)
    gate.load_state_dict(dict(state))
    return gate.eval().requires_grad_(False)
