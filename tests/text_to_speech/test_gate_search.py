"""A search of embeddings that knows a gate: it finds what the gate lets through, and nothing else."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from redact_core.gates import GateSettings, fit_gate

SCRIPTS = Path(__file__).parents[2] / "scripts" / "experiments"


def test_a_search_ends_below_the_cap_and_counts_nothing_that_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from gate_search import search

    generator = torch.Generator().manual_seed(0)
    middles = torch.randn(40, 24, generator=generator) + 1
    people = middles[:, None] + 0.25 * torch.randn(40, 4, 24, generator=generator)
    basis = normalize(people.flatten(0, 1), dim=1)
    found = {}
    for cap in (math.inf, 1.0):
        fitted = fit_gate(people[0][:, None], list(people[1:21]), settings=GateSettings(cap=cap))
        cell = fitted.cell
        few = torch.cat([cell.voice[None], normalize(people[21:36].mean(1), dim=1)])
        ahead, likeness = search(fitted, basis, few, torch.tensor([90, 120, 150]), 60)
        assert (likeness <= cell.bound(fitted.gate.answer) + 1e-5).all()
        start = basis[torch.tensor([90, 120, 150])]
        out = normalize(fitted.gate(start[:, None])[:, 0], dim=1) @ few.T
        assert (ahead > out[:, 0] - out[:, 1:].amax(1) + 0.05).all(), "it finds more than it began with"
        found[cap] = likeness.mean().item()
        assert found[cap] > 0.3
    assert found[1.0] < found[math.inf] - 0.03
