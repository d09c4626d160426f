"""``redact fit MODEL --redact ... --out ...``, the class of a model by its folder, and help."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import yaml
from command import redact

from lightning_modules.cli.short_forms import expanded
from redact_core import RedactError, RedactionCard
from redact_core.adapters.contract import ToyAdapter


def test_short_forms_stand_for_whole_options() -> None:
    assert expanded(["fit", "bundled", "--redact", "cigarette", "--reference=lollipop", "--out", "o"]) == [
        "fit", "--model.adapter", "StableDiffusion", "--model.adapter.source", "bundled", "--data.redact",
        "cigarette", "--data.reference=lollipop", "--export.folder", "o",
    ]  # fmt: skip
    assert expanded(["fit", "SpeechT5", "bundled", "--steps", "5"]) == [
        "fit", "--model.adapter", "SpeechT5", "--model.adapter.source", "bundled", "--trainer.max_steps", "5",
    ]  # fmt: skip
    whole = ["fit", "-c", "x.yaml", "--data.redact", "a", "--trainer.max_steps=3"]
    assert expanded(whole) == whole


CLOSED = "redact_core.objectives.closed_form.ClosedForm"
STARTED = {
    "class_path": "redact_core.objectives.distillation.Distillation",
    "init_args": {"start": {"class_path": CLOSED, "init_args": {"ridge": 0.5}}},
}


@pytest.mark.parametrize(
    "method",
    [
        "Distillation: {start: {ClosedForm: {ridge: 0.5}}}",
        "{Distillation: {start: {class_path: ClosedForm, init_args: {ridge: 0.5}}}}",
        "{class_path: Distillation, init_args: {start: {ClosedForm: {ridge: 0.5}}}}",
    ],
)
def test_a_method_takes_its_arguments_as_other_commands_take_them(method: str) -> None:
    for given in (["--method", method], [f"--method={method}"], ["--model.objective", method]):
        last = expanded(["fit", *given])[-1]
        assert yaml.safe_load(last[last.index("{") :]) == STARTED
    several = expanded(
        ["fit", "--method", f"[{method if method[0] == '{' else '{' + method + '}'}, ClosedForm]"]
    )[-1]
    assert yaml.safe_load(several) == [STARTED, {"class_path": CLOSED, "init_args": {}}]
    endless = expanded(["fit", "--method", "ClosedForm: {ridge: .inf}"])[-1]
    assert yaml.safe_load(endless)["init_args"] == {"ridge": math.inf}  # the class says what is wrong with it
    for as_it_is in ("ClosedForm", "redact_core.ClosedForm", "{a: ["):
        assert expanded(["fit", "--method", as_it_is])[-1] == as_it_is


def test_a_mistyped_method_with_arguments_names_the_nearest() -> None:
    with pytest.raises(RedactError, match=r"There is no class ClosedFrom, did you mean ClosedForm"):
        expanded(["fit", "--method", "ClosedFrom: {ridge: 0.5}"])


@pytest.mark.parametrize(
    ("file", "values", "adapter"),
    [
        ("model_index.json", {"_class_name": "StableDiffusionPipeline"}, "StableDiffusion"),
        ("model_index.json", {"_class_name": "StableDiffusionXLPipeline"}, "StableDiffusionXL"),
        ("config.json", {"architectures": ["SpeechT5ForTextToSpeech"]}, "SpeechT5"),
        ("config.json", {"architectures": ["VitsModel"]}, "SpeakerTable"),
        ("config.json", {"architecture": "diffwave"}, "MelVocoder"),
    ],
)
def test_the_class_is_told_from_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, values: dict, adapter: str
) -> None:
    (tmp_path / file).write_text(json.dumps(values))
    assert expanded(["fit", str(tmp_path)])[:3] == ["fit", "--model.adapter", adapter]
    assert f"; it is redacted as {adapter}." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "There is no folder gone; give a model's folder, a hub id"),
        (["empty"], "empty holds none of model_index.json, config.json, hyperparams.yaml; name the class"),
        (["omni"], "omni holds a OmniGenPipeline, which no adapter takes; name the class before the folder"),
        (["damaged"], "cannot be read as JSON"),
        (["encoder"], "redact fit SpeechT5 MODEL --model.adapter.encoder encoder"),
        (
            ["StableDifusion", "bundled"],
            "There is no class StableDifusion, did you mean StableDiffusion; redact ls",
        ),
        (["bundled", "more"], "bundled more: give one model"),
        (["owner/name"], "owner/name is neither a folder here nor could it be looked up on the hub"),
    ],
)
def test_what_cannot_be_told_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, file, text in (
        ("omni", "model_index.json", '{"_class_name": "OmniGenPipeline"}'),
        ("damaged", "config.json", "{"),
        ("encoder", "hyperparams.yaml", "x: 1"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RedactError) as refused:
        expanded(["fit", *arguments])
    assert message in str(refused.value)


def test_the_command_in_short_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ToyAdapter, "default_steps", lambda self: 5)
    out = tmp_path / "out"
    toy = ["--model.adapter", "redact_core.adapters.contract.ToyAdapter", "--device", "cpu"]
    words = ["--redact", "plum", "--redact", "fig", "--reference", "pear"]
    assert redact("fit", *toy, *words, "--out", out, "--steps", "3", "--refrence", "pear") == 2
    assert "did you mean --reference?" in capsys.readouterr().err
    assert redact("fit", *toy, *words, "--out", out, "--method", "Distillation") == 0
    card = RedactionCard.read(out)
    assert card.request["asked"] == ["plum -> pear", "fig -> pear"]
    assert card.method["steps"] == 5
    assert "max_steps: 5" in (out / "config.yaml").read_text()


def test_a_training_without_an_end_is_refused() -> None:
    import lightning as L

    from lightning_modules import RedactionModule

    module = RedactionModule(ToyAdapter())
    trainer = L.Trainer(
        max_steps=-1, max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False
    )
    rows = torch.utils.data.DataLoader([1])
    with pytest.raises(RedactError, match="The training has no end"):
        trainer.fit(module, rows)


def test_help_begins_with_our_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        redact("fit", "--help")
    out = capsys.readouterr().out
    assert out.startswith("usage: redact fit MODEL --redact WHAT")
    # Python 3.13 writes the value behind the last of several forms alone
    listed = out.index("\n  --data.redact")
    assert out.index("--redact ") < out.index("--model.adapter ADAPTER") < listed
    assert out.index("--export.folder FOLDER") < out.index("--trainer.accelerator ACCELERATOR")
