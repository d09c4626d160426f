"""``redact()`` in Python and ``redact fit`` write the same folder: every byte of the model, every word of the card."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import redact as command
from tiny_class import tiny_class_folder
from tiny_vits import tiny_vits

from modalities.class_to_image import ClassConditional
from modalities.text_to_image import StableDiffusion
from modalities.text_to_speech import SpeakerTable
from redact_core import (
    Adapter,
    ClosedForm,
    Objective,
    RobustDistillation,
    SelectiveAmnesia,
    redact,
)
from redact_core.adapters.contract import ToyAdapter
from redact_core.support.folders import hashes

OWN = {"redaction.json", "README.md", "config.yaml"}
"""The card has the date and the seconds in it; the config is that of a command."""
TOY = "redact_core.adapters.contract.ToyAdapter"


@dataclass
class Case:
    model: Callable[[], Adapter]
    objective: Objective | None
    options: list[object]
    """Of the command, for the same model and method."""
    what: dict[str, Any]
    settings: dict[str, Any]


def _option(name: str, values: Any) -> list[object]:
    return [f"--{name}", values if isinstance(values, str) else json.dumps(values)]


def toy(objective: Objective | None = None, *options: object, **settings: Any) -> Case:
    return Case(
        ToyAdapter,
        objective,
        ["--model.adapter", TOY, *options],
        {"what": "plum", "reference": "pear"},
        settings,
    )


@pytest.fixture
def case(request: pytest.FixtureRequest, tiny_sd: Path, tmp_path: Path) -> Case:
    cat = {"what": ["cat", "red"], "reference": ["dog", "blue"]}
    sd: list[object] = ["--model.adapter", "StableDiffusion", "--model.adapter.source", tiny_sd]
    match request.param:
        case "no steps named":
            return toy()
        case "fewer rows than there are":
            return toy(steps=2, batch_size=3, seed=5, lr=1e-9)
        case "a start, then training":
            return Case(lambda: StableDiffusion(tiny_sd), None, sd, cat, {"steps": 3})
        case "robust":
            robust = RobustDistillation(steps=2, words=0.5, places=2, name_replacement=1)
            more = [
                "--model.objective",
                "RobustDistillation",
                "--model.objective.steps",
                2,
                "--model.objective.words",
                0.5,
            ]
            more += ["--model.objective.places", 2, "--model.objective.name_replacement", 1]
            return Case(
                lambda: StableDiffusion(tiny_sd), robust, [*sd, *more], cat, {"steps": 3, "batch_size": 16}
            )
        case "solved in closed form":
            return Case(
                lambda: StableDiffusion(tiny_sd),
                ClosedForm(),
                [*sd, "--model.objective", "ClosedForm"],
                cat,
                {},
            )
        case "solved exactly":
            folder = tiny_vits(tmp_path / "vits")
            options: list[object] = ["--model.adapter", "SpeakerTable", "--model.adapter.source", folder]
            return Case(lambda: SpeakerTable(folder), None, options, {"what": "0", "reference": "1"}, {})
        case "the generator":
            folder = tiny_class_folder(tmp_path / "classes")
            method = SelectiveAmnesia(surrogates=8, replays=8, fisher_samples=4)
            options = ["--model.adapter", "ClassConditional", "--model.adapter.source", folder]
            options += ["--model.objective", "SelectiveAmnesia", "--model.objective.surrogates", 8]
            options += ["--model.objective.replays", 8, "--model.objective.fisher_samples", 4]
            return Case(lambda: ClassConditional(folder), method, options, {"what": "cup"}, {"steps": 3})
        case _:
            raise ValueError(request.param)


@pytest.mark.filterwarnings(
    "ignore:The redact distance", "ignore:What is retained moved", "ignore:The surrogate"
)
@pytest.mark.parametrize(
    "case",
    [
        "no steps named",
        "fewer rows than there are",
        "a start, then training",
        "robust",
        "solved in closed form",
        "solved exactly",
        "the generator",
    ],
    indirect=True,
)
def test_python_and_the_command_write_the_same_folder(case: Case, tmp_path: Path) -> None:
    here, there, key = tmp_path / "python" / "out", tmp_path / "command" / "out", tmp_path / "key"
    key.write_bytes(bytes(16))
    redact(case.model(), objective=case.objective, progress=False, **case.what, **case.settings).save(
        here, disclosure="digest", key=key
    )
    names = {"what": "data.redact", "reference": "data.reference", "steps": "trainer.max_steps"}
    names |= {"batch_size": "data.batch_size", "seed": "data.seed", "lr": "model.lr"}
    said = [part for key, value in (case.what | case.settings).items() for part in _option(names[key], value)]
    said += ["--export.folder", there, "--export.disclosure", "digest", "--export.key", key]
    assert command("fit", *case.options, *said, "--trainer.accelerator", "cpu") == 0

    assert files(here) == files(there)
    assert card(here) == card(there)


def files(folder: Path) -> dict[str, str]:
    return {name: value for name, value in hashes(folder).items() if name not in OWN}


def card(folder: Path) -> dict[str, Any]:
    """All of it but date, seconds and bytes of memory, and the config that a command writes."""
    found = json.loads((folder / "redaction.json").read_text(encoding="utf-8"))
    del found["created"]
    found["cost"] = sorted(found["cost"])
    for part in ("files", "changed"):
        found[part].pop("config.yaml", None)
    return found
