"""``redact compare``: several methods on one model, all attacked and judged alike, and folders made elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from command import redact
from torch import Tensor
from toy_attacks import OpenToy
from toy_evaluation import PictureToy, WordScorer, without_plums

from lightning_modules.comparison.bench import Bench
from lightning_modules.comparison.methods import Method
from redact_core import Distillation, Metric, RedactionCard, Request, Trial

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


def test_other_settings_are_measured_again_with_a_model_of_their_own(tmp_path: Path) -> None:
    plain = ["--attacks", "none", "--n", "4", "--methods"]
    assert compare(tmp_path, *plain, "toy_evaluation.ShadeGuard: {shade: 1.0}", "Distillation") == 0
    assert rows(tmp_path)["ShadeGuard", "retained", "found"]["hits"] == 4
    assert (
        compare(
            tmp_path, *plain, "toy_evaluation.ShadeGuard: {shade: 0.0}", "Distillation: {retain_weight: 2.0}"
        )
        == 0
    )
    assert rows(tmp_path)["ShadeGuard", "retained", "found"]["hits"] == 0
    assert rows(tmp_path)["ShadeGuard", "retained", "found"]["settings"] == {"shade": 0.0}
    assert len(list((tmp_path / "models").iterdir())) == 2


def test_another_request_or_base_needs_another_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = ["--attacks", "none", "--n", "2", "--methods", "toy_evaluation.ShadeGuard"]
    assert compare(tmp_path, *guard) == 0
    before = (tmp_path / "rows.jsonl").read_bytes()
    assert compare(tmp_path, *guard, "--reference=lime", base=[*BASE[:3], *BASE[5:]]) == 2
    said = capsys.readouterr().err
    assert "holds a comparison of plum with another request or reference; give another folder." in said
    assert compare(tmp_path, *guard, "--base.delay", "0.001") == 2
    assert "holds a comparison with another base; give another folder." in capsys.readouterr().err
    assert (tmp_path / "rows.jsonl").read_bytes() == before


def test_a_folder_of_the_same_name_with_other_weights_is_measured_again(tmp_path: Path) -> None:
    theirs = without_plums(PictureToy(), tmp_path)
    options = ["--attacks", "none", "--n", "4", "--folder", f"theirs={theirs}"]
    assert compare(tmp_path / "out", *options) == 0
    assert rows(tmp_path / "out")["theirs", "redacted", "found"]["hits"] == 0
    PictureToy().save(theirs)
    assert compare(tmp_path / "out", *options) == 0
    assert rows(tmp_path / "out")["theirs", "redacted", "found"]["hits"] == 4


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


def test_objectives_in_turn_are_one_method(tmp_path: Path) -> None:
    scorer, request = WordScorer(), Request(("plum",), ("fig",))
    bench = Bench(
        OpenToy, scorer, lambda task, seed: request, {}, n=4, n_attacked=2, models=tmp_path / "models"
    )
    both = Method(lambda: [Distillation(redact_weight=0.5), Distillation()])
    made = bench.made("both", both, {}, "plum", 0)
    assert bench.plain(made.model, "plum", 0, "redacted")["found"]["hits"] == 0
    card = RedactionCard.read(tmp_path / "models" / "plum_0_both")
    weights = [one["method"]["objective_arguments"]["redact_weight"] for one in card.redactions]
    assert weights == [0.5, 1.0]
    # a second call opens the folder
    again = bench.made("both", both, {}, "plum", 0)
    assert again.costs.keys() == {"changed bytes"}
    assert again.changes == made.changes == "encoder"


def test_what_retained_samples_ask_for_is_looked_for_together(tmp_path: Path) -> None:
    class TwoSided(WordScorer):
        """Says of every second retained sample that the rest of what was asked for is missing."""

        metrics = {**WordScorer.metrics, "rest found": Metric("rate", "as base", "as base")}  # noqa: RUF012

        def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
            found = super().score(samples, rows)
            return [{**one, "rest found": float(i % 2)} for i, one in enumerate(found)]

    request = Request(("plum",), ("fig",))
    bench = Bench(OpenToy, TwoSided(), lambda task, seed: request, {}, n=4, n_attacked=2)
    figures = bench.plain(bench.base, "plum", 0, "retained")
    assert (figures["found"]["hits"], figures["together"]["hits"]) == (4, 2)
    assert bench.plain(bench.base, "plum", 0, "redacted").keys() == {"found"}
    assert all(
        row.condition != "fig" for row in bench.plan("plum", 0)["retained"]
    )  # the reference is no witness


HELP = """
import sys
sys.argv = ["redact", "compare", "--help"]
from lightning_modules.cli import main
try:
    main.main()
except SystemExit as end:
    assert not end.code
heavy = [name for name in ("diffusers", "speechbrain", "modalities") if name in sys.modules]
assert not heavy, heavy
"""


def test_help_loads_no_modality() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "usage: redact compare MODEL --redact WHAT --methods NAME ... --out FOLDER [options]"
    )
