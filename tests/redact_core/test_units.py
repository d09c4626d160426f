"""Gating units: half-spaces of states, fitted without a model."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from redact_core import RedactError, Request, redact
from redact_core.adapters.contract import ToyAdapter
from redact_core.gates import UnitGating, UnitSettings, fit_units
from redact_core.gates.crossing import crossed
from redact_core.gates.units import SPARE

DIM = 16
QUICK = UnitSettings(units=8, steps=60, rounds=0, radius=0.1)


def states(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Of one concept ``(40, DIM)`` and of others ``(400, DIM)``, of length 1."""
    generator = torch.Generator().manual_seed(seed)
    middles = torch.randn(11, DIM, generator=generator)
    noise = 0.2 * torch.randn(11, 40, DIM, generator=generator)
    found = normalize(middles[:, None] + noise, dim=-1)
    return found[0], found[1:].flatten(0, 1)


def test_every_kept_state_is_outside_of_all_units_and_the_concept_is_inside() -> None:
    own, kept = states()
    units = fit_units(own, -own, own, kept, settings=QUICK)
    assert units.excess(kept).max() <= -SPARE + 1e-6
    assert (units.excess(own) > 0).float().mean() > 0.95
    assert units.directions.norm(dim=1).allclose(torch.ones(8))


def test_whatever_opens_no_unit_stays_in_a_convex_region_without_the_concept() -> None:
    own, kept = states()
    units = fit_units(own, -own, own, kept, settings=QUICK)
    inside = own[units.excess(own) > 0]
    free = torch.randn(2000, DIM)
    free = free[units.excess(free) < 0]
    means = (free[:, None] + free[None, :50]).flatten(0, 1) / 2  # as attention takes them
    assert units.excess(means).max() < 0 < units.excess(inside).min()


def test_what_a_search_finds_is_trained_on() -> None:
    own, kept = states()
    hidden = normalize(0.32 * own + 0.68 * kept[:40].mean(0), dim=1)  # near another concept
    looked: list[int] = []

    def search(excess: object, number: int) -> Tensor:
        assert callable(excess)
        looked.append(number)
        return hidden[excess(hidden) < 0.02]

    settings = UnitSettings(units=8, steps=60, rounds=6, round_steps=40, radius=0.0, mixed=0.0)
    before = fit_units(own, -own, own, kept, settings=settings)
    after = fit_units(own, -own, own, kept, search, settings=settings)
    assert looked == list(range(6))
    assert (after.excess(hidden) > 0).float().mean() > (before.excess(hidden) > 0).float().mean()
    assert after.excess(kept).max() <= -SPARE + 1e-6


def test_the_same_seed_gives_the_same_units() -> None:
    own, kept = states()
    one, other = (fit_units(own, -own, own, kept, settings=QUICK, seed=3) for _ in range(2))
    assert torch.equal(one.directions, other.directions)


def test_a_concept_that_is_also_kept_is_refused() -> None:
    own, kept = states()
    with pytest.raises(RedactError, match="no unit can tell them apart"):
        fit_units(own, -own, own, torch.cat([kept, own]), settings=QUICK)


@pytest.mark.parametrize(
    "wrong", [{"units": 0}, {"radius": 1.0}, {"mixed": -0.1}, {"spared": 0.0}, {"rounds": -1}]
)
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(RedactError, match="give"):
        UnitSettings(**wrong)


def test_models_without_a_place_for_units_are_refused() -> None:
    with pytest.raises(RedactError, match="UnitGating needs an encoder that takes gating units"):
        redact(ToyAdapter(), Request(("apple",)), objective=UnitGating())
    with pytest.raises(RedactError, match="has no loss"):
        UnitGating()(torch.nn.Identity(), None)
    with pytest.raises(RedactError, match="search_steps 1"):
        UnitGating(search_steps=1)
    with pytest.raises(RedactError, match="crossed is -1; give at least 0"):
        UnitGating(crossed=-1)


def test_names_of_what_stays_take_the_place_of_what_is_redacted_with_the_mark_behind_it() -> None:
    rows = [("guitar", "violin"), ("one guitar, as a sketch", "one violin, as a sketch")]
    kept = ["a palm tree in front of one sketch", "as one", ""]
    assert set(crossed(rows, kept, 50)) == {"palm tree in front of", "one palm tree in front of, as a sketch"}
    assert crossed(rows, ["as one"], 50) == crossed([], kept, 50) == crossed(rows, [], 50) == []
