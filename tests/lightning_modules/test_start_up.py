"""Commands import what they need and no more; a reader that goes away is no error."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightning_modules.cli.closed_pipe import closed_pipes_allowed
from lightning_modules.support import catalogue, names
from redact_core import Adapter, Attack, Guard, Objective, PlanSource, RedactionCard, Scorer, SetScorer
from redact_core.adapters.view import PartView

ROOT = Path(__file__).parents[2]
LAZY = [
    "redact_core",
    "redact_core.attacks",
    "lightning_modules",
    "modalities.class_to_image",
    "modalities.mel_to_speech",
    "modalities.staged_to_image",
    "modalities.text_to_image",
    "modalities.text_to_speech",
    "modalities.text_to_speech.attacks",
]

WITHOUT_TORCH = """
import sys
from lightning_modules.cli import main as cli
for arguments in (["--help"], ["ls"], ["card", sys.argv[1]]):
    sys.argv = ["redact", *arguments]
    assert cli.main() == 0, arguments
    heavy = {"torch", "numpy", "matplotlib", "lightning", "jsonargparse", "diffusers", "transformers", "speechbrain"} & set(sys.modules)
    assert not heavy, (arguments, heavy)
sys.argv = ["redact", "report", "--help"]
try:
    cli.main()
except SystemExit as end:
    assert end.code == 0
assert not {"torch", "numpy", "matplotlib"} & set(sys.modules)
"""

OWN_MODALITY = """
import sys
def check(step, *refused):
    found = [name for name in refused if name in sys.modules]
    assert not found, (step, found)
from redact_core.reporting import evidence_report
check("report", "lightning", "jsonargparse", "diffusers", "transformers", "speechbrain", "modalities")
from lightning_modules.support.names import import_named
import_named(["fit", "--model.adapter", "SpeechT5"])
assert "modalities.text_to_speech.adapters.speecht5" in sys.modules
check("a voice", "diffusers", "modalities.text_to_image", "modalities.text_to_speech.adapters.speaker_table")
import_named(["fit", "--model.adapter=StableDiffusion", "--model.objective", "ClosedForm"])
assert "modalities.text_to_image.adapters.stable_diffusion" in sys.modules
check("pictures", "diffusers", "speechbrain", "modalities.text_to_image.guards.espresso", "modalities.staged_to_image")
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False)


def test_help_ls_card_and_help_of_report_import_no_library(tmp_path: Path) -> None:
    RedactionCard({}, {}, {}, {}, {}, {}, {}, "").write(tmp_path)
    done = python("-c", WITHOUT_TORCH, str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_a_fit_imports_its_own_modality_only() -> None:
    done = python("-c", OWN_MODALITY)
    assert done.returncode == 0, done.stderr


def test_a_bare_name_in_a_config_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    monkeypatch.setattr(names, "importlib", SimpleNamespace(import_module=imported.append))
    config = tmp_path / "guards.yaml"
    config.write_text("guards:\n  sld: {class_path: SafeLatentDiffusion}\nn: 3\n", encoding="utf-8")
    names.import_named(["evaluate", "-c", str(config)])
    names.import_named(["evaluate", f"--config={config}"])
    assert imported == ["modalities.text_to_image.guards.sld"] * 2
    names.import_named(["evaluate", "-c", str(tmp_path / "missing.yaml")])  # which the parser reports
    assert len(imported) == 2


@pytest.mark.parametrize("package", LAZY)
def test_every_public_name_is_found_when_it_is_used(package: str) -> None:
    module = importlib.import_module(package)
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Missing'"):
        _ = module.Missing


def test_what_is_listed_is_what_the_classes_say_themselves() -> None:
    kinds = (Guard, Adapter, Objective, Scorer, SetScorer, PlanSource, Attack)
    expected: dict[tuple[str, str], tuple[str, str]] = {}
    for name, module in names.classes().items():
        if module.startswith("redact_core.adapters.contract"):
            continue
        found = getattr(importlib.import_module(module), name)
        its = [kind for kind in kinds if issubclass(found, kind) and found is not kind]
        if its and not inspect.isabstract(found) and not issubclass(found, PartView):
            first = (inspect.getdoc(found) or "").split("\n")[0]
            first = re.sub(r":\w+:`~?([\w.]+)`", lambda name: name[1].split(".")[-1], first).replace("``", "")
            expected[module, name] = (its[0].__name__.lower(), first)
    listed = {(entry.module, entry.name): (entry.kind, entry.summary) for entry in catalogue.entries()}
    assert listed == expected
    assert not any("`" in summary for _, summary in listed.values()), "no marks of a docstring on a screen"
    assert len(listed) > 60


def test_a_class_that_lacks_a_package_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    real = catalogue.find_spec
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None if name == "torchmetrics" else real(name))
    lacking = {entry.name: entry.missing for entry in catalogue.entries() if entry.missing}
    assert lacking["LpipsScorer"] == "torchmetrics"
    assert set(lacking.values()) == {"torchmetrics"}
    assert "StableDiffusion" not in lacking


def cut_off(*arguments: str) -> subprocess.Popen[str]:
    """The command, with a reader of its output that is gone before the first line."""
    return subprocess.Popen(
        [sys.executable, "-m", "lightning_modules", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def test_a_closed_pipe_changes_neither_status_nor_work(tmp_path: Path) -> None:
    card = RedactionCard({}, {}, {}, {}, {"weights": "0" * 64}, {}, {}, "")
    card.write(tmp_path)
    for arguments, status, error in (
        (["ls"], 0, ""),
        (["--help"], 0, ""),
        (["card", str(tmp_path)], 2, f"redact: {tmp_path} does not match its card: weights is missing\n"),
    ):
        process = cut_off(*arguments)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == error
        assert process.wait() == status


def test_a_letter_that_the_terminal_lacks_is_a_question_mark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with closed_pipes_allowed():
            print("Fréchet, 5 ≤ 6")  # noqa: T201
    assert (tmp_path / "out").read_text() == "Fr?chet, 5 ? 6\n"


def test_what_is_written_to_a_closed_pipe_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    with closed_pipes_allowed():
        for _ in range(3):
            sys.stdout.write("x" * 100_000)  # more than the stream keeps back
        sys.stdout.writelines(["a\n", "b\n"])
    assert sys.stdout is stream
    stream.write("and afterwards")
    stream.close()
