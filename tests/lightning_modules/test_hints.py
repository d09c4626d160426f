"""Mistyped options, verbs and kinds are told with what was probably meant, and completed in a shell, by every verb."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command import redact

from lightning_modules.cli import completing, main
from lightning_modules.cli.hints import nearest, with_hint
from lightning_modules.support import names
from lightning_modules.support.near_names import meant

NEEDED = {
    "fit": ["--model.adapter", "redact_core.adapters.contract.ToyAdapter"],
    "evaluate": ["--base", "redact_core.adapters.contract.ToyAdapter", "--out", "out"],
    "attack": ["--base", "redact_core.adapters.contract.ToyAdapter", "--out", "out"],
    "compare": ["--base", "redact_core.adapters.contract.ToyAdapter", "--redact", "plum", "--out", "out"],
    "score": ["evidence"],
    "report": ["evidence"],
    "card": ["folder"],
    "verify": ["folder"],
    "export": ["folder", "--as", "lora", "--out", "out"],
    "inspect": ["bundled"],
    "completion": ["bash"],
}
"""What a parser asks for before it looks at the rest."""

FIT = ("fit", "bundled", "--redact", "cigarette", "--out", "o")
EVALUATE = (
    "evaluate",
    "--base",
    "StableDiffusion",
    "--base.source",
    "bundled",
    "--redact",
    "cigarette",
    "--redacted",
    "x",
    "--out",
    "o",
)


@pytest.fixture(scope="module")
def parsers() -> dict[str, Any]:
    return completing.parsers()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("--trainer.max_stepz", "--trainer.max_steps"),
        ("--max_steps=3", "--trainer.max_steps"),
        ("--refrence", "--reference"),
        ("--data.redct", "--data.redact"),
        ("--xyz", None),
    ],
)
def test_the_nearest_option(wrong: str, right: str | None) -> None:
    options = [
        "--trainer.max_steps",
        "--trainer.max_epochs",
        "--data.redact",
        "--reference",
        "--export.folder",
    ]
    assert nearest(wrong, options) == right


def test_only_a_wrong_option_gets_a_hint() -> None:
    assert with_hint("File does not exist", ["--file"]) == "File does not exist"
    assert with_hint("unrecognized arguments: --fil 3", ["--file"]) == (
        "unrecognized arguments: --fil 3; did you mean --file?"
    )
    assert meant("evalute", ["evaluate", "attack"]) == ", did you mean evaluate"
    assert meant("login", ["evaluate", "attack"]) == ""


@pytest.mark.parametrize("verb", main._VERBS)
def test_every_verb_names_the_nearest_option(
    verb: str, parsers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    known = parsers[verb]._option_string_actions
    option = max((one for one in known if not one.endswith(".help")), key=len)
    assert redact(verb, *NEEDED.get(verb, ()), f"{option}z", "3") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].lower().startswith("redact: unrecognized arguments: ")
    assert f"; did you mean {option}?; see " in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key_of_a_config_is_told_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "evaluate.yaml"
    config.write_text("redcat: cigarette\n", encoding="utf-8")
    assert redact("evaluate", "-c", config) == 2
    assert "did you mean --redact?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evalute"], "There is no verb 'evalute', did you mean evaluate; the verbs are fit, evaluate,"),
        (
            ["fit", "bundled", "--redact", "cigarette", "guitar", "--out", "o"],
            "unrecognized arguments: guitar; an option takes one value: repeat it for another, or write [one, another]; see",
        ),
        (["FIT"], "There is no verb 'FIT', did you mean fit; the verbs are fit, evaluate,"),
        (
            ["ls", "Atacks"],
            "There is no kind 'Atacks' to list, did you mean attacks; the kinds are adapters,",
        ),
        (["ls", "xyz"], "There is no kind 'xyz' to list; the kinds are adapters, objectives, attacks"),
        (["fit", "StableDifusion"], "There is no class StableDifusion, did you mean StableDiffusion;"),
        (["completion", "fish"], "Argument shell: invalid choice: 'fish' (choose from "),
        (["evaluate", "--bsae", "ToyAdapter", "--out", "o"], "; did you mean --base?; see --help."),
        (["fit", "--model.adaptr", "ToyAdapter"], "; did you mean --model.adapter?; see --help."),
        (["card"], "The following arguments are required: folder; see redact card --help."),
        # a model is named as for fit
        (
            ["evaluate", "bundled", "--redact", "cigarette", "--redacted", "gone", "--out", "o"],
            "there is no folder gone; give one",
        ),
        (
            [
                "attack",
                "StableDiffusion",
                "bundled",
                "--redact",
                "cigarette",
                "--redacted",
                "gone",
                "--out",
                "o",
            ],
            "there is no folder gone; give one",
        ),
        (
            ["app", "StableDifusion", "bundled"],
            "There is no class StableDifusion, did you mean StableDiffusion; redact ls",
        ),
        (["evaluate"], "the following arguments are required: --out, --base; see --help."),
        (
            ["fit"],
            "redact: No model is named; give one, as in redact fit bundled --redact WHAT --out FOLDER, or a config",
        ),
        (
            ["fit", "Guard", "--redact", "x", "--out", "o"],
            "There is no adapter Guard; --model.adapter takes an adapter, and redact ls adapters lists them",
        ),
        (
            [*FIT, "--method", "RobustPromts"],
            "redact: There is no objective RobustPromts, did you mean RobustPrompts; --method takes an objective, and "
            "redact ls objectives lists them; see --help.\n",
        ),
        (
            [*FIT, "--model.objective=closedform"],
            "There is no objective closedform, did you mean ClosedForm; --model.objective takes an objective",
        ),
        ([*FIT, "--method", "Xyzzy"], "There is no objective Xyzzy; --method takes an objective"),
        ([*FIT, "--method", "StableDiffusion"], "StableDiffusion is an adapter; --method takes an objective"),
        (
            [*FIT, "--method", "redact_core.Distilation"],
            "There is no objective redact_core.Distilation, did you mean Distillation; --method takes",
        ),
        (
            [*FIT, "--method", "redact_core.adapters.contract.ToyAdapter"],
            "There is no objective redact_core.adapters.contract.ToyAdapter; --method takes an objective",
        ),
        (
            [*FIT, "--method", "Distillation", "--model.objective.start", "FromFoldr"],
            "There is no objective FromFoldr, did you mean FromFolder; --model.objective.start takes an objective",
        ),
        (
            [*FIT, "--method", "Distillation", "--model.objective.redct_weight", "3"],
            "--method: Distillation takes no redct_weight, did you mean redact_weight; it takes redact_weight,",
        ),
        ([*FIT, "--method", "FromFolder"], "FromFolder needs folder: give --model.objective.folder; see"),
        (
            [*FIT, "--model.adapter.stepz", "3"],
            "--model.adapter: StableDiffusion takes no stepz, did you mean steps; it",
        ),
        (
            [*FIT, "--trainer.precision", "17"],
            "--trainer.precision: expected 64 or 32 or 16 or 'transformer-engine'",
        ),
        (
            [*FIT, "--trainer.callbacks+=Foo"],
            "--trainer.callbacks: there is no class Foo; write its whole path,",
        ),
        (
            ["evaluate", "--base", "StableDifusion", "--out", "o"],
            "There is no adapter StableDifusion, did you mean StableDiffusion; --base takes an adapter, and redact ls",
        ),
        (
            [*EVALUATE, "--scorers+=GradrScorer"],
            "There is no scorer GradrScorer, did you mean GraderScorer; --scorers",
        ),
        (
            [*EVALUATE, "--scorers", "GraderScorer"],
            "--scorers: expected a list, given GraderScorer; write --scorers+=GraderScorer or",
        ),
        ([*EVALUATE, "--test_bed", "I2PP"], "There is no plansource I2PP"),
        (
            [
                "compare",
                "bundled",
                "--redact",
                "cigarette",
                "--methods",
                "ClosedForm",
                "--attacks",
                "GreedyCordinate",
                "--out",
                "o",
            ],
            "There is no suite or attack GreedyCordinate, did you mean GreedyCoordinate; the suites are quick, standard, full",
        ),
    ],
)
def test_what_was_probably_meant(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert redact(*arguments) == 2
    assert message in capsys.readouterr().err


def test_classes_in_a_list_are_found_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(names, "importlib", SimpleNamespace(import_module=asked.append))
    for given in ("--scorers=[LpipsScorer]", "[{class_path: LpipsScorer, init_args: {}}]", "LpipsScorer"):
        asked.clear()
        names.import_named(["--scorers", given])
        assert asked == ["modalities.text_to_image.metrics.lpips_scorer"], given


def test_completion_knows_every_verb_and_its_options(parsers: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("shtab")
    assert set(parsers) == set(main._VERBS)
    script = tmp_path / "redact.bash"
    # in a process of its own, as a shell does: jsonargparse completes every subclass that is imported, here many tests'
    command = [sys.executable, "-m", "lightning_modules", "completion", "bash"]
    with script.open("w", encoding="utf-8") as file:
        subprocess.run(command, stdout=file, check=True, timeout=120)
    assert completed(script, "redact", "ev") == ["evaluate"]
    assert completed(script, "redact", "attack", "--sui") == ["--suite"]
    assert completed(script, "redact", "demo", "--n_v") == ["--n_voice"]
    assert "--reference" in completed(script, "redact", "fit", "--re")


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers in place of the last word."""
    (function,) = {
        line.split()[line.split().index("-F") + 1]
        for line in script.read_text(encoding="utf-8").splitlines()
        if line.startswith("complete ") and "-F" in line
    }
    line = " ".join(words)
    code = f"""
source {script}
COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; COMP_LINE={line!r}; COMP_POINT={len(line)}; COMP_TYPE=9
{function} {words[0]} {words[-1]} {words[-2]}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False)
    return [word.strip() for word in done.stdout.splitlines() if word.strip()]
