"""A setting that counts is a whole number: a fraction is refused when the object is made, whoever wrote its class."""

from __future__ import annotations

import copy
import inspect
from importlib import import_module
from typing import Any

import pytest
import torch

from lightning_modules.support.catalogue import entries
from modalities.text_to_image.exports.export import LoraSettings
from modalities.text_to_image.guards.anchor_tuning import Tuning
from modalities.text_to_image.prompts.shares import PromptRows
from redact_core import Lesson, RedactError, Request, RobustDistillation, redact
from redact_core.adapters.contract import ToyAdapter
from redact_core.attacks.relearning import Relearning
from redact_core.gates.fit import GateSettings
from redact_core.gates.units import UnitSettings
from redact_core.objectives._parts.fisher import FisherSettings
from redact_core.objectives._parts.input_pgd import InputAttack
from redact_core.support.whole_numbers import WholeNumbers

SETTINGS = [
    (InputAttack, "steps"), (UnitSettings, "rounds"), (GateSettings, "landmarks"), (FisherSettings, "samples"),
    (Tuning, "steps"), (PromptRows, "per_name"), (LoraSettings, "rank"), (Request, "seed"),
]  # fmt: skip


def test_every_count_of_every_class_that_can_be_named_is_checked_when_it_is_made() -> None:
    checked = 0
    for entry in entries():
        if entry.missing:
            continue
        cls: Any = getattr(import_module(entry.module), entry.name)
        for name, parameter in inspect.signature(cls).parameters.items():
            if parameter.annotation in ("int", "int | None", int):
                with pytest.raises(RedactError) as caught:
                    cls(**{name: 1.0})
                assert str(caught.value) == f"{name} is 1.0; give a whole number.", entry.name
                checked += 1
    assert checked > 100


@pytest.mark.parametrize(("cls", "name"), SETTINGS)
def test_settings_that_are_handed_on_are_checked_as_well(cls: type[Any], name: str) -> None:
    with pytest.raises(RedactError, match=rf"^{name} is 2\.5; give a whole number\.$"):
        cls(**{name: 2.5})


@pytest.mark.parametrize("name", ["steps", "batch_size", "seed"])
def test_redact_checks_its_own(name: str) -> None:
    with pytest.raises(RedactError, match=rf"^{name} is 2\.0; give a whole number\.$"):
        redact(ToyAdapter(), [Lesson.redact("plum", "pear")], **{name: 2.0})


class Above(WholeNumbers):
    def __init__(self, first: float, count: int = 1, most: int | None = None):
        self.given = first, count, most


class Below(Above):
    def __init__(self, *, share: float = 1.0, **others: Any):
        super().__init__(share, **others)


def test_what_is_handed_on_to_the_class_above_and_what_is_given_by_place() -> None:
    for make in (lambda: Above(1.0, 2.0), lambda: Below(count=2.0)):  # pyright: ignore[reportArgumentType]
        with pytest.raises(RedactError, match=r"^count is 2\.0; give a whole number\.$"):
            make()
    with pytest.raises(RedactError, match=r"^most is 'many'; give a whole number\.$"):
        Below(most="many")
    assert Below(share=0.5, count=3).given == (0.5, 3, None)
    assert Above(1.5, torch.tensor(3)).given == (1.5, 3, None), "counts of other libraries are counts"  # pyright: ignore[reportArgumentType]


def test_copies_need_no_arguments_and_the_signature_is_the_constructors() -> None:
    assert copy.deepcopy(RobustDistillation(name_replacement=2)).name_replacement == 2
    assert copy.copy(Relearning(steps=3)).steps == 3
    assert [*inspect.signature(Below).parameters] == ["share", "others"]
