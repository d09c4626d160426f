"""Every method on every bundled model: it fits, or one line says why not."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from lightning_modules.support.catalogue import entries
from lightning_modules.support.specs import build
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.guards.dual_latent import DualLatent
from modalities.text_to_image.guards.espresso import Espresso
from modalities.text_to_image.guards.negative_prompt import NegativePrompt
from modalities.text_to_image.guards.sld import SafeLatentDiffusion
from modalities.text_to_image.guards.word_filter import WordFilter
from modalities.text_to_speech import SpeechT5, VoiceFilter
from modalities.text_to_speech.guards.clip_filter import ClipFilter
from modalities.text_to_speech.guards.embedding_gate import EmbeddingGate
from redact_core import Adapter, Guard, Objective, RedactError

REASON = re.compile(r"(\w+) needs [^\n]+ \(\w+\), which (\w+) does not have; [^\n]+\.")


@pytest.fixture(scope="module")
def models() -> dict[str, Adapter]:
    return {"pictures": StableDiffusion("bundled"), "voices": SpeechT5("bundled")}


def test_every_method_fits_a_bundled_model_or_says_what_that_lacks(models: dict[str, Adapter]) -> None:
    fits: dict[str, set[str]] = {name: set() for name in models}
    refused: dict[str, tuple[str, str]] = {}
    for entry in entries():
        if entry.kind != "objective" or entry.name == "FromFolder":  # that needs a folder
            continue
        method = build(Objective, {"class_path": f"{entry.module}.{entry.name}"})  # type: ignore[type-abstract]
        for name, model in models.items():
            try:
                method.check(model)
            except RedactError as error:
                refused[str(error)] = entry.name, type(model).__name__
            else:
                fits[name].add(entry.name)
    for line, pair in refused.items():
        found = REASON.fullmatch(line)
        assert found, line
        assert found.groups() == pair
    both = {
        "ClosedForm",
        "Distillation",
        "FineTuning",
        "GradientAscent",
        "RobustDistillation",
        "SelectiveAmnesia",
        "TGU",
    }
    assert fits["pictures"] & fits["voices"] == both
    assert {"UCE", "RECE", "ESD", "HiRM", "DES", "AdvUnlearn", "UnitGating"} <= fits["pictures"]
    assert "Gating" in fits["voices"]


GUARDS: dict[str, tuple[str, Callable[[Adapter], Guard]]] = {
    "WordFilter": ("pictures", lambda model: WordFilter(model, ["cigarette"])),
    "Espresso": ("pictures", lambda model: Espresso(model, ["a cigarette"], ["a lollipop"])),
    "NegativePrompt": ("pictures", lambda model: NegativePrompt(model, ["cigarette"])),
    "SafeLatentDiffusion": ("pictures", lambda model: SafeLatentDiffusion(model, ["cigarette"])),
    "DualLatent": ("pictures", lambda model: DualLatent(model, rewrite={"cigarette": "lollipop"})),
    "ClipFilter": ("voices", lambda model: ClipFilter(model, ["voice21"])),
    "VoiceFilter": ("voices", lambda model: VoiceFilter(model, ["voice21"], ["voice05"])),
    "EmbeddingGate": ("voices", lambda model: EmbeddingGate(model, "nowhere")),
}


def test_every_guard_says_in_one_line_why_it_is_not_put_around_a_model_of_the_other_kind(
    models: dict[str, Adapter],
) -> None:
    assert {entry.name for entry in entries() if entry.kind == "guard"} == GUARDS.keys()
    for name, (own, make) in GUARDS.items():
        other = models["voices" if own == "pictures" else "pictures"]
        with pytest.raises(RedactError) as caught:
            make(other)
        line = str(caught.value)
        assert "\n" not in line
        assert line.startswith(name), line
        assert type(other).__name__ in line, line
