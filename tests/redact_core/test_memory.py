"""Peak memory where a model's real size would multiply it: what is kept of answers, and whole vocabularies."""

from collections.abc import Sequence

import pytest
import torch
from memory import peak_bytes
from torch import Tensor, nn

from redact_core import Condition, Conditioning, Distillation, Lesson, Mean, Targets
from redact_core.adapters import disturbance
from redact_core.adapters.capabilities import HasNameReplacement
from redact_core.adapters.contract import ToyAdapter
from redact_core.adapters.disturbance import Disturbable
from redact_core.objectives._parts.name_replacement import NameReplacement
from redact_core.objectives.target_store import TargetStore

LENGTH, DIM = 64, 32
ROW = LENGTH * DIM * 4
"""Bytes of an answer."""


def test_the_measure_sees_a_copy_that_is_freed() -> None:
    assert 4_000_000 <= peak_bytes(lambda: torch.zeros(1_000_000).sum()) < 4_100_000
    assert peak_bytes(lambda: torch.zeros(1_000_000).clone().sum()) >= 8_000_000


def test_answers_are_copied_and_not_kept_as_views() -> None:
    """A mask or a pooled part that is a view would keep the whole batch, generator's input and all."""
    wide = torch.randn(6, LENGTH, DIM + 1)
    part = Conditioning(wide[:4, :, :DIM], (wide[:4, :, DIM] > -9), wide[:4, -1])
    store = TargetStore(8, 1 << 20)
    store.append(part)
    store.append(part)
    kept = store.gathered()
    for tensor, values in ((kept.hidden, part.hidden), (kept.mask, part.mask), (kept.pooled, part.pooled)):
        assert tensor is not None
        assert values is not None
        assert torch.equal(tensor, torch.cat([values, values]))
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def test_gathering_answers_takes_their_own_size_and_one_part() -> None:
    parts, rows = 32, 8

    def gather() -> Conditioning:
        store = TargetStore(parts * rows, 1 << 30)
        for _ in range(parts):
            store.append(
                Conditioning(torch.ones(rows, LENGTH, DIM), torch.ones(rows, LENGTH, dtype=torch.bool))
            )
        return store.gathered()

    assert peak_bytes(gather) < 1.3 * parts * rows * ROW


class _Wide(ToyAdapter, HasNameReplacement):
    """A toy whose answers are as large as those of a text model, beside its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _WideEncoder()

    def replace(
        self, conditions: Sequence[Condition], answers: Sequence[Condition], places: int
    ) -> Disturbable:
        raise NotImplementedError  # only what is kept before is measured


class _WideEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.ones(()))

    def forward(self, inputs: dict[str, Tensor]) -> Conditioning:
        hidden = self.level * torch.rand(len(inputs["letters"]), LENGTH, DIM)
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool))


NAMES = [f"v{i}" for i in range(1024)]


@pytest.mark.parametrize("mean", [False, True])
def test_an_answer_key_holds_every_answer_once(mean: bool) -> None:
    """Those of references as well: there may be as many as redacted rows."""
    pairs = zip(NAMES, reversed(NAMES), strict=True)
    lessons = [Lesson.redact(a, Mean((b, a)) if mean else b) for a, b in pairs]
    adapter = _Wide()
    found = peak_bytes(lambda: Targets(adapter, Distillation(), adapter.encoder, lessons, chunk=16))
    assert found < 1.25 * len(NAMES) * ROW


def test_rows_with_words_in_place_keep_one_mean_of_each_answer() -> None:
    adapter = _Wide()
    lessons = [Lesson.redact(name, "fig") for name in NAMES] + [Lesson.retain("plum")]
    found = peak_bytes(lambda: NameReplacement(adapter, adapter.encoder, lessons, seed=0))
    assert found < 0.5 * len(NAMES) * ROW


def test_the_nearest_words_are_found_without_a_vocabulary_for_each_row() -> None:
    rows, places, words = 16, 8, 20_000
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(words, DIM, generator=generator)
    change = torch.randn(rows, places, DIM, generator=generator)
    unit = torch.ones(rows, places)
    unit[:, 5:] = 0
    soft = Disturbable(unit, DIM, lambda moved: {"moved": moved}, points=points)
    found: list[Tensor] = []
    peak = peak_bytes(lambda: found.append(soft.snapped(change)))
    assert peak < rows * words * DIM * 4 / 3
    apart = [(points - place).norm(dim=1).argmin() for place in change[:, :5].flatten(0, 1)]
    assert torch.equal(found[0][:, :5].flatten(0, 1), points[torch.stack(apart)])
    assert not found[0][:, 5:].any()


def test_distances_to_a_vocabulary_are_taken_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    points, change = torch.randn(50, 4, generator=generator), torch.randn(9, 3, 4, generator=generator)
    soft = Disturbable(torch.ones(9, 3), 4, lambda moved: {"moved": moved}, points=points)
    at_once = soft.snapped(change)
    monkeypatch.setattr(disturbance, "_DISTANCES", 120)  # two places at a time
    assert torch.equal(soft.snapped(change), at_once)
    nothing = Disturbable(torch.zeros(9, 3), 4, lambda moved: {"moved": moved}, points=points)
    assert not nothing.snapped(change).any()
