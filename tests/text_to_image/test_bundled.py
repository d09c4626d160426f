"""The bundled base: really trained, of the real classes, and really redacted."""

from pathlib import Path

import pytest
import torch
from transformers import CLIPModel, CLIPTextModel

from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.metrics.grader import Judge
from modalities.text_to_image.prompts.groups import groups
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from redact_core import Request, redact

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


def test_it_is_small_and_holds_no_pickles() -> None:
    files = [path for path in BUNDLED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40e6
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt", ".md", ""}


def test_the_prompt_encoder_is_the_text_tower_of_the_clip() -> None:
    tower = CLIPTextModel.from_pretrained(BUNDLED / "pipeline" / "text_encoder").state_dict()
    clip = CLIPModel.from_pretrained(BUNDLED / "clip").text_model.state_dict()
    assert tower.keys() == clip.keys()
    assert all(torch.equal(tower[key], clip[key]) for key in tower)


def test_the_grader_knows_the_vocabulary(judge: Judge) -> None:
    vocabulary = bundled_vocabulary()
    assert judge.labels.concepts == list(vocabulary.concepts)
    assert judge.labels.styles == list(vocabulary.styles)
    assert judge.labels.backgrounds == list(vocabulary.settings)


def test_noise_and_flat_colour_pass_for_nothing(judge: Judge) -> None:
    noise = torch.rand(64, 3, 32, 32)
    flat = torch.rand(64, 3, 1, 1).expand(64, 3, 32, 32)
    verdict = judge([*noise, *flat])
    assert verdict.concepts.count("none") >= 0.9 * 128


def test_a_redacted_concept_is_gone_and_the_reference_is_shown(judge: Judge) -> None:
    """The main job in miniature: few pictures, wide margins; scripts/experiments/grade_redaction.py has the numbers."""
    model = StableDiffusion("bundled", steps=10, batch_size=48)
    cases = groups("cigarette", "lollipop", model.vocabulary, [], n=24)
    prompts = [case.prompt for name in ("redacted", "retained") for case in cases[name]]
    before = judge(model.generate(prompts, seeds=range(48))).concepts
    redact(model, Request(("cigarette",), ("lollipop",)), steps=120)
    after = judge(model.generate(prompts, seeds=range(48))).concepts
    assert before[:24].count("cigarette") >= 12
    assert after[:24].count("cigarette") <= 1
    assert after[:24].count("lollipop") >= 12
    wanted = [case.concept for case in cases["retained"]]
    kept = [sum(a == b for a, b in zip(found, wanted, strict=True)) for found in (before[24:], after[24:])]
    assert kept[1] >= kept[0] - 3


def test_a_redacted_copy_trains_at_the_bundled_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second method is applied to a folder, which is not called ``bundled``; a large encoder takes small steps."""
    copy = str(BUNDLED / "pipeline")
    assert StableDiffusion(copy).learning_rate == StableDiffusion("bundled").learning_rate == 1e-3
    monkeypatch.setattr("modalities.text_to_image.adapters.stable_diffusion._SMALL", 100_000)
    assert StableDiffusion(copy).learning_rate == 1e-5
