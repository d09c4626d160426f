"""The example of ``unlearn(pipe, ...)`` runs as it stands, on a tiny pipeline and, slowly, on the bundled one."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from diffusers import DiffusionPipeline
from PIL import Image

from modalities.picture_files import read_picture
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.metrics.grader import Judge
from redact_core import Lesson, Request

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "examples" / "unlearn" / "unlearn_concept.py"
LESSONS = [Lesson.redact("a cat", "a dog"), Lesson.retain("a dog"), Lesson.retain("red car")]


def test_the_example_on_a_tiny_pipeline(
    tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Request] = []

    def expand(self: StableDiffusion, request: Request) -> list[Lesson]:
        requests.append(request)
        return LESSONS

    monkeypatch.setattr(StableDiffusion, "expand", expand)  # hundreds of rows take a minute
    options = {"model": tiny_sd, "concept": "a cat", "target": "a dog", "prompt": "a cat", "steps": 30}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(
        sys, "argv", [str(SCRIPT), *words, "--keep", "templates", "--out", str(tmp_path / "o")]
    )
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert requests == [Request("a cat", "a dog", "templates")]
    before, after = (Image.open(tmp_path / "o" / f"{name}.png") for name in ("before", "after"))
    assert before.size == after.size
    again = DiffusionPipeline.from_pretrained(tmp_path / "o" / "pipeline")
    stock = DiffusionPipeline.from_pretrained(tiny_sd).text_encoder.state_dict()
    changed = again.text_encoder.state_dict()
    assert any(not value.equal(stock[name]) for name, value in changed.items())


@pytest.mark.slow
def test_the_example_as_it_stands_takes_the_concept_away(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    pictures = [read_picture(tmp_path / "out" / "unlearned" / f"{name}.png") for name in ("before", "after")]
    assert Judge()(pictures).concepts == ["cigarette", "lollipop"]
