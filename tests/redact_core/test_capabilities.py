"""What a model can do: asked for by methods, looked for inside guards, refused in one sentence, listed from the source."""

from __future__ import annotations

import inspect

import pytest
from toy_evaluation import PictureToy

from lightning_modules.support.catalogue import entries, methods_of
from lightning_modules.support.specs import build
from redact_core import Adapter, Guard, Objective, RedactError, redact
from redact_core.adapters import by_hand, capabilities, generator_parts, state_gates
from redact_core.adapters.capabilities import Capability, PlansEvaluations, Reopens, require
from redact_core.adapters.contract import ToyAdapter
from redact_core.attacks.hidden_state import HiddenState
from redact_core.types import Lesson

CAPABILITIES = [
    one
    for one in (vars(capabilities) | vars(generator_parts) | vars(state_gates) | vars(by_hand)).values()
    if inspect.isclass(one) and issubclass(one, Capability) and one is not Capability
]


class Passing(Guard):
    def generate(self, conditions, *, seeds):
        return self.inner.generate(conditions, seeds=seeds)


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda one: one.__name__)
def test_what_a_model_lacks_is_said_in_one_sentence(capability: type[Capability]) -> None:
    with pytest.raises(RedactError) as caught:
        require(Passing(ToyAdapter()), capability, "This method")
    assert str(caught.value) == (
        f"This method needs {capability.needed_for} ({capability.__name__}), which ToyAdapter does not have; "
        f"{capability.instead}."
    )


def test_redact_refuses_every_method_that_does_not_fit_before_anything_is_computed() -> None:
    rows = [Lesson.redact("plum", "pear"), Lesson.retain("fig")]
    refused = 0
    for entry in entries():
        if entry.kind == "objective" and entry.needs and entry.name != "FromFolder":
            method = build(Objective, {"class_path": f"{entry.module}.{entry.name}"})
            with pytest.raises(
                RedactError, match=rf"^{entry.name} needs .* \({entry.needs[0]}\), which ToyAdapter does"
            ):
                redact(ToyAdapter(), rows, objective=method, steps=1)
            refused += 1
    assert refused >= 4
    with pytest.raises(
        RedactError, match=r"^HiddenState needs .* \(HasTrainingLoss\), which ToyAdapter does not have"
    ):
        HiddenState().check(Passing(ToyAdapter()))


def test_a_guard_is_asked_first_and_then_what_it_guards() -> None:
    toy = PictureToy()
    guard = Passing(Passing(toy))
    assert guard.offers(PlansEvaluations) is toy
    assert guard.offers(Reopens) is guard, "a folder is opened inside the guard"
    assert ToyAdapter().offers(PlansEvaluations) is None


def test_a_guard_forwards_every_member_that_an_adapter_has_and_nothing_is_listed_by_hand() -> None:
    toy = ToyAdapter()
    guard = Passing(toy)
    own = {
        "offers",
        "model_class",
        "generate",
        "generate_rows",
        "conditioning_of",
        "collated",
        "device",
        "dtype",
    }
    own |= {"save_pretrained", "to"}
    for name in {*vars(Adapter), *Adapter.__annotations__} - own:
        if not name.startswith("_"):
            assert getattr(guard, name) == getattr(toy, name), name
    guard.variants, guard.remarks = 3, ("x",)
    assert (toy.variants, toy.remarks) == (3, ("x",))


def test_the_methods_of_a_model_are_derived_from_the_source() -> None:
    found = list(entries())
    methods = {entry.name: methods_of(entry, found) for entry in found if entry.kind == "adapter"}
    assert "ClosedForm" in methods["StableDiffusion"]
    assert "ClosedForm" not in methods["StableDiffusionXL"], "what it lacks is left out"
    assert "SequentialDistillation" in methods["StagedText"]
    assert "SequentialDistillation" not in methods["StableDiffusion"]
    assert "Gating" in methods["SpeakerEncoder"]
    assert "Gating" not in methods["StableDiffusion"]
    assert all("Distillation" in names for names in methods.values())


def test_the_source_says_of_every_adapter_what_the_class_says() -> None:
    from importlib import import_module

    for entry in entries():
        if entry.kind == "adapter" and not entry.missing:
            cls = getattr(import_module(entry.module), entry.name)
            has = {one.__name__ for one in CAPABILITIES if issubclass(cls, one) and one not in cls.lacks}
            assert entry.offers == has, entry.name
