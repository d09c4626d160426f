"""None means the default; 0 means 0, or is refused by name."""

import math
from pathlib import Path

import pytest
import torch

from lightning_modules import RedactionModule
from modalities.picture_files import read_picture, to_bytes, write_picture
from modalities.text_to_image import StableDiffusion
from redact_core import Distillation, Lesson, RedactError, redact
from redact_core.adapters.contract import ToyAdapter
from redact_core.attacks.relearning import Relearning

LESSONS = [Lesson.redact("plum", "pear"), Lesson.retain("fig")]


@pytest.mark.parametrize("lr", [0, 0.0, -1e-3, math.inf, math.nan])
def test_a_rate_that_trains_nothing_is_refused(lr: float) -> None:
    said = f"The learning rate is {lr}; give a finite number above 0"
    with pytest.raises(RedactError, match=said):
        redact(ToyAdapter(), LESSONS, steps=1, lr=lr)
    with pytest.raises(RedactError, match=said):
        RedactionModule(ToyAdapter(), lr=lr)
    objective = Distillation()
    objective.learning_rate = lr
    with pytest.raises(RedactError, match="The learning rate is"):
        RedactionModule(ToyAdapter(), objective)


def test_the_default_is_the_methods_own_rate() -> None:
    assert RedactionModule(ToyAdapter(), Distillation()).lr == ToyAdapter.learning_rate
    assert RedactionModule(ToyAdapter(), lr=3e-3).lr == 3e-3


@pytest.mark.parametrize("counts", [{"steps": 0}, {"steps": 1, "batch_size": 0}])
def test_no_steps_and_no_rows_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(RedactError, match=r"(steps|batch_size) is 0; give at least 1"):
        redact(ToyAdapter(), LESSONS, **counts)


@pytest.mark.parametrize("name", ["steps", "batch_size"])
def test_a_pipeline_without_steps_is_refused(name: str) -> None:
    with pytest.raises(RedactError, match=f"{name} is 0; give at least 1"):
        StableDiffusion("bundled", **{name: 0})


def test_no_soft_tokens_are_none(tiny_sd: Path) -> None:
    model = StableDiffusion(str(tiny_sd))
    inputs = model.collate(["cat"])
    assert not model.disturb(inputs, 0).unit.any()
    assert model.disturb(inputs).unit.count_nonzero() == model.soft_tokens


def test_an_attackers_rate_of_zero_is_refused() -> None:
    with pytest.raises(RedactError, match="lr is 0; give a number above 0"):
        Relearning(lr=0)


def test_what_lies_beyond_black_and_white_does_not_wrap_round(tmp_path: Path) -> None:
    beyond = torch.tensor([-0.01, 0.0, 0.5, 1.0, 1.004])
    assert to_bytes(beyond).tolist() == [0, 0, 128, 255, 255]
    path = write_picture(beyond.expand(3, 2, 5), tmp_path / "p")
    assert torch.allclose(read_picture(path)[0, 0], beyond.clamp(0, 1), atol=0.5 / 255 + 1e-6)
