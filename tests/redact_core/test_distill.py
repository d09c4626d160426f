"""The objective and its distances: exact where exact, properties where not."""

import math

import pytest
import torch

from redact_core import (
    Batch,
    Conditioning,
    Distillation,
    Lesson,
    RedactError,
    conditioning_distance,
    group_mean,
    redact,
)
from redact_core.adapters.contract import ToyAdapter


def conditioning(batch: int = 4, seed: int = 0, pooled: bool = False) -> Conditioning:
    g = torch.Generator().manual_seed(seed)
    hidden = torch.randn(batch, 3, 5, generator=g)
    extra = torch.randn(batch, 2, generator=g) if pooled else None
    return Conditioning(hidden, torch.ones(batch, 3, dtype=torch.bool), extra)


def test_distance_is_per_sample_and_zero_only_for_equals() -> None:
    a, b = conditioning(seed=1), conditioning(seed=2)
    assert conditioning_distance(a, b).shape == (4,)
    assert torch.equal(conditioning_distance(a, a), torch.zeros(4))
    expected = (a.hidden - b.hidden).square().mean((1, 2))
    torch.testing.assert_close(conditioning_distance(a, b), expected)


def test_distance_ignores_what_the_generator_does_not_read() -> None:
    a, b = conditioning(seed=1), conditioning(seed=2)
    mask = torch.tensor([[True, False, True]]).repeat(4, 1)
    b = Conditioning(b.hidden, mask)
    moved = b.hidden.clone()
    moved[:, 1] += 100
    torch.testing.assert_close(
        conditioning_distance(a, b), conditioning_distance(a, Conditioning(moved, mask))
    )


def test_distance_counts_the_pooled_vector() -> None:
    a = conditioning(pooled=True)
    assert a.pooled is not None
    b = Conditioning(a.hidden, a.mask, a.pooled + 2)
    torch.testing.assert_close(conditioning_distance(a, b), torch.full((4,), 4.0))


def test_group_mean_of_an_empty_group_is_zero_with_zero_gradient() -> None:
    values = torch.randn(3, requires_grad=True)
    mean = group_mean(values, torch.zeros(3, dtype=torch.bool))
    mean.backward()
    assert mean.item() == 0
    assert torch.equal(values.grad, torch.zeros(3))


def test_group_mean_weighs_rows() -> None:
    mean = group_mean(
        torch.tensor([1.0, 5.0, 9.0]), torch.tensor([True, True, False]), torch.tensor([3.0, 1.0, 1.0])
    )
    assert mean.item() == pytest.approx(2.0)


def test_rows_of_weight_zero_do_not_count() -> None:
    toy = ToyAdapter()
    words = ["plum", "pear", "fig"]
    target = toy.encoder(toy.collate(["pear", "pear", "plum"])).detach()
    redacted = torch.tensor([True, False, True])
    with_row = Batch(toy.collate(words), target, redacted, torch.tensor([1.0, 1.0, 0.0]))
    without = Batch(toy.collate(words[:2]), target[torch.tensor([0, 1])], redacted[:2], torch.ones(2))
    objective = Distillation(2.0, 0.5)
    for name, value in objective(toy.encoder, with_row).items():
        torch.testing.assert_close(value, objective(toy.encoder, without)[name])


def test_weight_zero_removes_a_term_bit_by_bit() -> None:
    toy = ToyAdapter()
    target = toy.encoder(toy.collate(["pear", "fig"])).detach()
    batch = Batch(toy.collate(["plum", "lime"]), target, torch.tensor([True, False]), torch.ones(2))
    gradients = []
    for retain in (False, True):
        toy.encoder.zero_grad()
        terms = Distillation(1.0, 0.0)(toy.encoder, batch)
        (terms["redact"] + terms["retain"] if retain else terms["redact"]).backward()
        gradients.append([p.grad.clone() for p in toy.encoder.parameters()])
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_senseless_weights_are_refused(value: float) -> None:
    with pytest.raises(RedactError, match=r"redact_weight is .*finite number"):
        Distillation(redact_weight=value)


class OfSomebody(Distillation):
    """A method whose step gives ``given``."""

    given: object = None

    def forward(self, student: torch.nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        del student, batch
        return self.given  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.tensor(1.0), r"OfSomebody gave a tensor of shape \(\) for the terms of a step; return a mapping"),
        ({}, r"gave \{\} for the terms of a step; return a mapping such as \{'redact': loss\} from forward"),
        ({"redact": torch.ones(4)}, r"gave a tensor of shape \(4,\) for the term 'redact'; give a tensor of one number"),
        ({"redact": 1.0}, r"gave 1\.0 for the term 'redact'; give a tensor of one number"),
        ({"redact": torch.tensor(1.0)}, r"No term of OfSomebody \(redact\) depends on a weight that is trained"),
    ],
    ids=["a tensor", "nothing", "a number each", "a plain number", "no gradient"],
)  # fmt: skip
def test_what_another_ones_method_gives_is_checked(given: object, said: str) -> None:
    objective = OfSomebody()
    objective.given = given
    lessons = [Lesson.redact("pear", "plum"), Lesson.retain("plum")]
    with pytest.raises(RedactError, match=said):
        redact(ToyAdapter(), lessons, objective=objective, steps=1)
