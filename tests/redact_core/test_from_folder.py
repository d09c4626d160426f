"""An earlier redaction as the start of another one."""

from pathlib import Path

import pytest
import torch
from fitting import fit, on
from tiny import tiny_stable_diffusion

from modalities.text_to_image import StableDiffusion
from redact_core import ClosedForm, Distillation, FromFolder, RedactError, Request, RobustDistillation, redact
from redact_core.objectives.base import frozen_copy

CAT, BOTH = Request(("cat",), ("dog",)), Request(("cat", "car"), ("dog", "bus"))


@pytest.fixture(scope="module")
def earlier(tiny_sd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("earlier") / "no_cat"
    model = StableDiffusion(str(tiny_sd))
    redact(model, CAT, objective=ClosedForm(disturbed=0))
    model.save(folder)
    return folder


def test_the_student_starts_there_and_the_teacher_is_the_untouched_model(
    tiny_sd: Path, earlier: Path
) -> None:
    model, stock = StableDiffusion(str(tiny_sd)), StableDiffusion(str(tiny_sd))
    objective = Distillation(start=FromFolder(earlier))
    key = objective.rows(model, frozen_copy(model.encoder), lessons := model.expand(BOTH), seed=0)
    objective.initialise(model, lessons, seed=0)
    wanted = stock.reopen(earlier).encoder.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in model.encoder.state_dict().items())
    assert any(not torch.equal(value, wanted[name]) for name, value in stock.encoder.state_dict().items())
    # the answers are those of the untouched model: rows are shuffled into chunks, so each is looked for
    found = key.batch(torch.arange(len(key))).target.hidden
    with torch.no_grad():
        for lesson in lessons[:4]:
            (answer,) = stock.encode([lesson.answer]).hidden  # type: ignore[list-item]
            assert (found - answer).abs().flatten(1).amax(1).min() < 1e-4


@pytest.mark.parametrize("method", ["Distillation", "RobustDistillation"])
def test_fit_goes_on_from_a_folder(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, earlier: Path, tmp_path: Path, method: str
) -> None:
    settings = [
        *("--data.redact", "[cat, car]", "--data.reference", "[dog, bus]", "--model.objective", method),
        *(
            "--model.objective.start",
            "redact_core.FromFolder",
            "--model.objective.start.folder",
            str(earlier),
        ),
    ]
    assert fit(monkeypatch, *on(tiny_sd, tmp_path / "out", 2), *settings, "--model.lr", "1e-9") == 0
    base = StableDiffusion(str(tiny_sd))
    now, then = (base.reopen(folder).encoder.state_dict() for folder in (tmp_path / "out", earlier))
    for name, value in now.items():
        torch.testing.assert_close(value, then[name], atol=1e-3, rtol=0)
    before = base.encoder.state_dict()
    assert max((now[name] - before[name]).abs().max() for name in now) > 1e-2, "it did not start at the base"


def test_it_is_no_method_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
    tiny_sd: Path,
    earlier: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = ["--data.redact", "cat", "--data.reference", "dog", "--model.objective", "FromFolder"]
    settings += ["--model.objective.folder", str(earlier)]
    assert fit(monkeypatch, *on(tiny_sd, tmp_path / "out"), *settings) == 2
    error = capsys.readouterr().err
    assert "FromFolder trains nothing; give it as the start of a method" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()
    with pytest.raises(RedactError, match="FromFolder trains nothing"):
        redact(StableDiffusion(str(tiny_sd)), CAT, objective=FromFolder(earlier), steps=1)


def test_other_folders_are_refused(tiny_sd: Path, tmp_path: Path) -> None:
    model = StableDiffusion(str(tiny_sd))
    with pytest.raises(RedactError, match="There is no folder"):
        redact(model, CAT, objective=Distillation(start=FromFolder(tmp_path / "nothing")), steps=1)
    tiny_stable_diffusion(tmp_path / "short", context=60)
    with pytest.raises(RedactError, match="has other weights than that of"):
        redact(model, CAT, objective=RobustDistillation(start=FromFolder(tmp_path / "short")), steps=1)
