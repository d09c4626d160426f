"""No diffusers folder keeps the arguments of the call: the card has them, in code that draws when it is copied."""

import re
from pathlib import Path

import pytest
from fitting import fit, on
from PIL import Image

from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.exports.export import export
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from redact_core import ClosedForm, Lesson, RedactionCard, Request, redact

SETTINGS = "guidance_scale=3.0, num_inference_steps=10"


def redacted(source: str, out: Path, what: str = "a cigarette in noto style") -> Path:
    model = StableDiffusion(source)
    rows = [Lesson.redact(what, "a lollipop in noto style"), *map(Lesson.retain, ("a cat", "a red rose", ""))]
    redact(model, rows, objective=ClosedForm(disturbed=0))
    return model.save_pretrained(out)


def code_of(folder: Path) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return code


def test_the_code_of_the_card_draws_as_the_bundled_base_is_meant_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = redacted("bundled", tmp_path / "out")
    assert RedactionCard.read(out).use["call"] == {"num_inference_steps": 10, "guidance_scale": 3.0}
    assert (
        "Call it with `guidance_scale=3.0`, `num_inference_steps=10`: a folder"
        in (out / "README.md").read_text()
    )
    code = code_of(out)
    assert f'pipe("a tiger", {SETTINGS}).images[0]' in code
    monkeypatch.chdir(tmp_path)
    exec(code.replace("FOLDER", str(out)), {})
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (64, 64)
    assert RedactionCard.read(out).markdown() == (out / "README.md").read_text()
    said = export(str(out), "encoder", str(tmp_path / "encoder"))
    assert said[-1] == f"No file keeps the settings of the call; draw with {SETTINGS}."


def test_what_was_made_of_the_bundled_base_is_drawn_and_named_as_it(tmp_path: Path) -> None:
    out = redacted("bundled", tmp_path / "out")
    model = StableDiffusion(str(out))
    assert (model.steps, model.guidance, model.default_steps()) == (10, 3.0, 220)
    assert model.vocabulary is bundled_vocabulary()
    assert StableDiffusion(str(out), steps=7).steps == 7
    again = redacted(str(out), tmp_path / "again", "a guitar in noto style")
    assert SETTINGS in code_of(again)
    assert StableDiffusion(str(again)).steps == 10
    (out / "redaction.json").unlink()
    assert StableDiffusion(str(out)).steps == 50
    assert model.default_steps() == 220  # of the card that was there when it was opened
    assert '"a tiger"' in model.usage()
    assert {row.group for row in model.plan(Request(("cigarette",)), 1)} >= {"neighbours"}


def test_fit_prints_the_settings_of_the_call(
    tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rows.csv").write_text("asked,answer\na cat,a dog\na red bird,a red bird\n")
    out, more = tmp_path / "out", ["--data.lessons", str(tmp_path / "rows.csv"), "--model.adapter.steps", "2"]
    with caplog.at_level("INFO"):
        assert fit(monkeypatch, *on(tiny_sd, out, 2, *more)) == 0
    settings = "guidance_scale=7.5, num_inference_steps=2"
    assert f"call it with {settings}, as its README.md does." in caplog.text
    assert f'pipe("a photo of a lighthouse", {settings})' in code_of(out)
