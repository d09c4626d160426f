"""``redact compare``: several methods on one model, all attacked and judged alike, and folders made elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import redact
from toy_evaluation import PictureToy, without_plums

from redact_core import RedactionCard

BASE = ["toy_attacks.OpenToy", "--redact", "plum", "--reference", "fig", "--n", "6", "--n_attacked", "3"]
METHODS = ["Distillation", "toy_evaluation.ShadeGuard: {shade: 0.0}"]
BYPASS = "toy_attacks.Bypass"


def compare(out: Path, *more: str, base: list[str] = BASE) -> int:
    return redact("compare", "--base", *base, "--out", out, *more)


def rows(out: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))["rows"]
    return {(row["method"], row["group"], row["metric"]): row for row in found}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared")
    theirs = without_plums(PictureToy(), root)
    assert compare(root / "out", "--methods", *METHODS, "ClosedForm", "--folder", f"theirs={theirs}") == 0
    return root / "out"


def test_every_method_has_a_row_for_every_group_and_attack(compared: Path) -> None:
    found = rows(compared)
    names = ("untouched", "Distillation", "ShadeGuard", "theirs")
    assert {(name, group) for name, group, metric in found if metric == "found"} == {
        (name, group) for name in names for group in ("redacted", "retained", "Bypass", "Spelling")
    }
    assert found["untouched", "redacted", "found"]["value"] == 1.0
    assert found["Distillation", "redacted", "found"]["hits"] == 0
    assert found["Distillation", "retained", "found"]["value"] == 1.0
    assert found["ShadeGuard", "retained", "found"]["hits"] == 0
    assert found["ShadeGuard", "retained", "found"]["ceiling"] == 1.0
    # it goes around the encoder, and the guard stands behind the generator
    assert found["Distillation", "Bypass", "found"]["value"] == 1.0
    changes = {name: found[name, "redacted", "found"]["changes"] for name in names}
    assert changes == {
        "untouched": "nothing",
        "Distillation": "encoder",
        "ShadeGuard": "guard",
        "theirs": "encoder",
    }
    assert found["Distillation", "cost", "seconds"]["value"] > 0
    assert found["Distillation", "cost", "time ratio"]["value"] > 0
    assert ("theirs", "cost", "seconds") not in set(found)  # nobody here knows


def test_what_does_not_fit_says_why_and_costs_no_other_its_row(compared: Path) -> None:
    refused = json.loads((compared / "results.json").read_text(encoding="utf-8"))["refused"]
    assert list(refused) == ["ClosedForm"]
    assert refused["ClosedForm"].startswith("ClosedForm needs one last linear map of the encoder")
    assert f"- ClosedForm: {refused['ClosedForm']}" in (compared / "table.md").read_text(encoding="utf-8")


def test_each_redacted_model_is_a_folder_with_its_card(compared: Path) -> None:
    (folder,) = (compared / "models").iterdir()
    card = RedactionCard.read(folder)
    assert card.method["objective"].endswith(".Distillation")
    assert redact("card", folder) == 0


def test_the_same_command_goes_on_and_more_methods_join(
    compared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (compared / "rows.jsonl").read_bytes()
    trained: list[str] = []
    from lightning_modules.comparison import bench

    def counted(*args: Any, **settings: Any) -> Any:
        trained.append(type(settings["objective"]).__name__)
        return real(*args, **settings)

    real = bench.redact
    monkeypatch.setattr(bench, "redact", counted)
    assert compare(compared, "--methods", *METHODS) == 0
    assert (compared / "rows.jsonl").read_bytes() == before
    assert trained == []
    text = capsys.readouterr().out
    assert "method" in text.splitlines()[0]
    assert "Distillation *" in text
    # more conditions: the model is opened, not trained again
    assert compare(compared, "--methods", "Distillation", "--n", "8", "--attacks", "none") == 0
    assert trained == []
    assert rows(compared)["Distillation", "redacted", "found"]["n"] == 8
    assert rows(compared)["Distillation", "Bypass", "found"]["n"] == 3


def test_settings_are_chosen_on_another_condition(tmp_path: Path) -> None:
    shades = [f"toy_evaluation.ShadeGuard: {{shade: {shade}}}" for shade in (1.0, 0.0)]
    assert compare(tmp_path, "--methods", *shades, "--attacks", "none", "--development", "pear") == 0
    tuning = json.loads((tmp_path / "tuning.json").read_text(encoding="utf-8"))["ShadeGuard"]
    assert [one["leak"] for one in tuning["tried"]] == [1.0, 0.0]
    assert tuning["taken"] == {"shade": 0.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --methods NAME ..., or --folder NAME=PATH for a model that was made elsewhere"),
        (["--methods", "Distilation"], "there is no class Distilation, did you mean Distillation;"),
        (["--methods", "GraderScorer"], "GraderScorer is neither an objective nor a guard;"),
        (["--methods", "Distillation: {weigt: 2}"], "cannot be made: "),
        (
            ["--methods", "Distillation", "Distillation"],
            "Distillation is named twice with the same settings; keep one.",
        ),
        (
            ["--methods", "Distillation", "Distillation: {redact_weight: 2.0}"],
            "Distillation has several settings; say with --development on what they are tried, or keep one.",
        ),
        (["--methods", "Distillation", "--folder", "theirs"], "'theirs' is no NAME=PATH"),
        (["--methods", "Distillation", "--folder", "a=nowhere"], "there is no folder nowhere"),
        (["--methods", "Distillation", "--n", "0"], "--n is 0; give at least 1"),
        (
            ["--methods", "Distillation", "--attacks", "hard"],
            "There is no suite or attack hard; the suites are quick",
        ),
        (
            ["--methods", "Distillation", "--development", "plum"],
            "Settings are chosen on plum, so it cannot be compared on as well; take another.",
        ),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_computed(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(tmp_path / "out", *options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out" / "rows.jsonl").exists()
