"""UCE and RECE by hand, on vectors small enough to be checked, and what the maps of a tiny model make of them."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from modalities.text_to_image import StableDiffusion
from redact_core import Lesson, RedactError, redact
from redact_core.adapters.contract import ToyAdapter
from redact_core.objectives._parts.bare_rows import bare_rows
from redact_core.objectives._parts.map_rows import Places
from redact_core.objectives.published.rece import RECE
from redact_core.objectives.published.uce import UCE
from redact_core.training.run import TrainingRun

NONE = torch.zeros(0, 6, dtype=torch.float64)
ROWS = [
    Lesson.redact("cat", "dog"),
    Lesson.redact("a cat", "a dog"),
    Lesson.retain("red"),
    Lesson.retain("a red"),
]


def vectors(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_one_name_and_nothing_preserved_is_the_mean_of_name_and_reference() -> None:
    """For one c the inverse is known: ``M c = (keep c + |c|^2 g) / (keep + |c|^2)``, and without keep it is g."""
    c, g = vectors(1), vectors(1, 1)
    size = c.square().sum()
    found = UCE(keep_weight=0.5, preserve_weight=0).factor(c, g, vectors(4, 2))
    torch.testing.assert_close(found @ c[0], (0.5 * c[0] + size * g[0]) / (0.5 + size))
    exact = UCE(keep_weight=1e-12, preserve_weight=0).factor(c, g, NONE)
    torch.testing.assert_close(exact @ c[0], g[0], rtol=1e-6, atol=1e-6)


def test_the_edit_minimises_the_paper_s_sum() -> None:
    """The gradient of eq. 6 at the solution is 0, for a map that is no square."""
    c, g, p = vectors(2), vectors(2, 1), vectors(3, 2)
    old = torch.randn(4, 6, dtype=torch.float64)
    new = (old @ UCE(erase_weight=0.7, preserve_weight=0.3, keep_weight=0.2).factor(c, g, p)).requires_grad_()
    cost = 0.7 * (c @ new.T - g @ old.T).square().sum() + 0.3 * (p @ new.T - p @ old.T).square().sum()
    (cost + 0.2 * (new - old).square().sum()).backward()
    assert new.grad is not None
    assert new.grad.abs().max() < 1e-9


def test_what_is_preserved_by_a_great_weight_stays() -> None:
    c, g, p = vectors(1), vectors(1, 1), vectors(3, 2)
    loose, firm = (UCE(preserve_weight=w, keep_weight=1e-3).factor(c, g, p) for w in (0.0, 1e6))
    assert (p @ firm.T - p).norm() < 1e-3 < (p @ loose.T - p).norm()


def test_rece_finds_the_name_where_nothing_was_edited_and_less_of_it_the_greater_the_ridge() -> None:
    weight = torch.randn(8, 6, dtype=torch.float64)
    c, unit = vectors(2), torch.eye(6, dtype=torch.float64)
    found = RECE(ridge=1e-10).derived(weight.T @ weight, unit, c)
    torch.testing.assert_close(found, c, rtol=1e-6, atol=1e-6)
    assert RECE(ridge=1e6).derived(weight.T @ weight, unit, c).norm() < 1e-3


def test_rece_s_vector_is_read_by_the_edited_maps_as_the_name_was() -> None:
    weight = torch.randn(8, 6, dtype=torch.float64)
    c, g = vectors(1), vectors(1, 1)
    edit = UCE().factor(c, g, NONE)
    found = RECE(ridge=1e-10).derived(weight.T @ weight, edit, c)
    wanted, edited = c @ weight.T, weight @ edit
    assert (found @ edited.T - wanted).norm() < 1e-4 * wanted.norm() < (c @ edited.T - wanted).norm()


def test_a_round_takes_away_what_can_still_be_reached() -> None:
    """How near the best vector of all brings the edited maps to what the untouched ones made of the name."""
    c, g, p = vectors(1), vectors(1, 1), vectors(3, 2)
    old = torch.randn(40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def nearest(method: UCE) -> float:
        maps = {"map": torch.nn.Linear(6, 40, bias=False).double()}
        with torch.no_grad():
            maps["map"].weight.copy_(old)
            method.edit(maps, SimpleNamespace(asked=c, wanted=g, kept=p))  # pyright: ignore[reportArgumentType]
            new = maps["map"].weight
            best = torch.linalg.lstsq(new, (c @ old.T).T).solution
            away = (new @ best).T - c @ old.T
            return float(away.norm() / (c @ old.T).norm() + 1e-3 * best.norm())

    assert nearest(RECE(rounds=2)) > 1.2 * nearest(UCE())


def test_no_rounds_are_uce(tiny_sd: Path) -> None:
    found = []
    for method in (UCE(keep_weight=0.1), RECE(rounds=0, keep_weight=0.1)):
        model = StableDiffusion(str(tiny_sd))
        redact(model, ROWS, objective=method)
        found.append([m.get_parameter("weight").clone() for m in model.conditioning_maps().values()])
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize(("places", "left"), [("last", 0.05), ("rest", 0.2)])
def test_uce_changes_keys_and_values_alone_and_the_card_says_so(
    tiny_sd: Path, tmp_path: Path, places: Places, left: float
) -> None:
    model = StableDiffusion(str(tiny_sd))
    encoder = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    before = {k: v.clone() for k, v in model.generator.state_dict().items()}
    result = redact(model, ROWS, objective=UCE(keep_weight=1e-4, preserve_weight=0.01, places=places))
    moved = {k for k, v in model.generator.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {f"{name}.weight" for name in model.conditioning_maps()}
    assert len(moved) == 2 * 4  # keys and values of four layers
    assert all(torch.equal(v, encoder[k]) for k, v in model.encoder.state_dict().items())
    model.save_pretrained(tmp_path / "out")
    card = result.card
    assert card.scope.startswith("Maps of the generator in this folder")
    assert card.measures["redact distance after"] < left * card.measures["redact distance before"]
    again = StableDiffusion(str(tmp_path / "out"))
    assert all(torch.equal(again.generator.state_dict()[k], model.generator.state_dict()[k]) for k in moved)


@pytest.mark.parametrize("method", [UCE, RECE])
def test_the_teacher_is_a_copy_of_the_maps_alone_and_the_edit_is_the_same(
    tiny_sd: Path, method: type[UCE]
) -> None:
    class Whole(method):
        def untouched(self, student: nn.Module) -> list[nn.Parameter]:
            del student
            return []

    found: list[dict[str, torch.Tensor]] = []
    measures: list[object] = []
    for kind in (method, Whole):
        model = StableDiffusion(str(tiny_sd))
        run = TrainingRun(model, kind())
        held = {id(p) for p in run.student.parameters()}
        assert run._teacher is not None
        copied = {name for name, p in run._teacher.named_parameters() if id(p) not in held}
        if kind is method:
            assert copied == {f"{name}.weight" for name in model.conditioning_maps()}
        measures.append(redact(model, ROWS, objective=kind()).card.measures)
        found.append(model.generator.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
    assert measures[0] == measures[1]


def test_names_alone_are_read() -> None:
    rows = [*ROWS, Lesson.retain(""), Lesson.redact("one Cat, centered", "one dog, centered")]
    gone, kept = bare_rows(rows)
    assert [row.asked for row in gone] == ["cat"]
    assert [row.asked for row in kept] == ["red", ""]


def test_a_model_without_such_maps_is_refused_in_one_line() -> None:
    message = (
        "UCE needs linear maps that read the conditioning alone, as the keys and values of cross-attention (HasConditioningMaps), which "
        "ToyAdapter does not have; use Distillation."
    )
    with pytest.raises(RedactError, match=re.escape(message)):
        redact(ToyAdapter(), [Lesson.redact("plum", "pear")], objective=UCE())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UCE(keep_weight=0), "keep_weight is 0; give a finite number above 0."),
        (lambda: UCE(erase_weight=-1), "erase_weight is -1; give a finite number of at least 0."),
        (lambda: UCE(places="all"), "places is 'all'; give last or rest."),  # pyright: ignore[reportArgumentType]
        (lambda: RECE(rounds=-1), "rounds is -1; give at least 0."),
        (lambda: RECE(ridge=0), "ridge is 0; give a finite number above 0."),
    ],
)
def test_bad_settings_are_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(RedactError, match=re.escape(message)):
        make()
