"""On a real GPU: every model, every method and the quick suites, in every precision; skipped without one."""

from pathlib import Path

import pytest
import torch
from command import redact as command
from device_matrix import (
    METHODS,
    MODELS,
    PRECISIONS,
    Made,
    attack_of,
    carry_out,
    rows_of,
    take_step,
)

from modalities.sound.bank import VoiceBank
from modalities.text_to_image import Espresso, StableDiffusion
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.metrics.clip_scorer import ClipScorer
from modalities.text_to_image.metrics.grader import Judge
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.judges.judge import BUNDLED as SPEECH
from modalities.text_to_speech.judges.judge import VoiceJudge
from redact_core import Distillation, RedactionCard, Request, redact
from redact_core.adapters.contract import check_adapter
from redact_core.support.devices import move, seeded

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


def fresh(name: str, tmp_path: Path, device: str) -> Made:
    model, conditions = MODELS[name](tmp_path)
    return model.to(device), conditions


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", MODELS)
def test_contract(name: str, precision: str, tmp_path: Path) -> None:
    model, conditions = fresh(name, tmp_path, "cuda")
    assert model.device.type == "cuda"
    low = PRECISIONS[precision]
    with torch.autocast("cuda", low, enabled=low is not None):
        check_adapter(model, conditions)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", METHODS)
def test_step(name: str, precision: str, device: str, tmp_path: Path) -> None:
    if (device, precision) == ("cpu", "16-mixed"):
        pytest.skip("Lightning offers no 16-mixed on the CPU")
    kind, method = METHODS[name]
    take_step(*fresh(kind, tmp_path, device), method(), precision)


@pytest.mark.parametrize("kind", ["prompt", "voice"])
def test_quick_suite(kind: str, tmp_path: Path) -> None:
    base, conditions = fresh(kind, tmp_path / "base", "cuda")
    model, _ = fresh(kind, tmp_path / "model", "cuda")
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(1.01)
    rows, problems = rows_of(base, conditions), []
    for entry in base.suites["quick"]:
        try:
            carry_out(attack_of(entry, tmp_path), model, base, rows)
        except Exception as error:
            problems.append(f"{entry}: {type(error).__name__}: {error}")
    assert not problems, "\n".join(problems)


def test_judges_of_pictures_see_on_the_gpu_what_they_see_on_the_cpu() -> None:
    pictures = list(torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    judge = Judge()
    before = judge(pictures)
    judge.grader.to("cuda")
    after = judge(pictures)
    assert after.features.device.type == "cpu"
    torch.testing.assert_close(after.features, before.features, atol=2e-2, rtol=2e-2)
    assert next(GraderScorer().to("cuda").judge.grader.parameters()).is_cuda


@pytest.mark.skipif(not (BUNDLED / "clip_judge" / "config.json").is_file(), reason="no CLIP judge is here")
def test_the_clip_judge_moves() -> None:
    pictures = list(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    scorer = ClipScorer()
    before = scorer.clip.see(pictures), scorer.clip.read(["a cat"])
    scorer.to("cuda")
    for a, b in zip((scorer.clip.see(pictures), scorer.clip.read(["a cat"])), before, strict=True):
        torch.testing.assert_close(a, b, atol=1e-2, rtol=1e-2)


@pytest.mark.skipif(not (BUNDLED / "clip" / "config.json").is_file(), reason="no CLIP is here")
def test_espresso_moves_its_clip() -> None:
    guard = Espresso(StableDiffusion("bundled"), ["a cigarette"], ["a lollipop"])
    pictures = list(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        before = guard.embed(pictures)
        guard.to("cuda")
        torch.testing.assert_close(guard.embed(pictures), before, atol=1e-2, rtol=1e-2)
    assert guard.clip.model.device.type == "cuda"
    assert guard.generate(["a cat"], seeds=[0])[0].shape == (3, 64, 64)


def test_judges_of_voices_hear_on_the_gpu_what_they_hear_on_the_cpu() -> None:
    bank = VoiceBank(SPEECH / "voices").voices
    judge = VoiceJudge({name: bank[name] for name in list(bank)[:3]})
    wave = SpeechT5("bundled").waveform("voice21")
    before = judge([wave]).similarity, judge.read([wave])
    for network in judge.networks:
        move(network, "cuda")
    try:
        torch.testing.assert_close(judge([wave]).similarity, before[0], atol=1e-2, rtol=1e-2)
        assert judge.read([wave]) == before[1]
    finally:
        for network in judge.networks:
            move(network, "cpu")


@pytest.mark.parametrize(
    ("model", "condition"), [(StableDiffusion, "a cigarette in noto style"), (SpeechT5, "voice21")]
)
def test_bundled_samples_do_not_depend_on_the_device(
    model: type[StableDiffusion] | type[SpeechT5], condition: str
) -> None:
    adapter = model("bundled")
    on_cpu = adapter.generate([condition], seeds=[3])[0]
    on_gpu = adapter.to("cuda").generate([condition], seeds=[3])[0]
    assert on_gpu.device.type == "cpu"
    if isinstance(adapter, StableDiffusion):
        assert (on_gpu - on_cpu).abs().mean() < 0.02
    else:  # its dropout is the device's own
        assert 0.5 < len(on_gpu) / len(on_cpu) < 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pictures_in_half_precision(dtype: torch.dtype) -> None:
    adapter = StableDiffusion("bundled")
    full = adapter.to("cuda").generate(["a cigarette in noto style"], seeds=[3])[0]
    half = adapter.to(dtype=dtype).generate(["a cigarette in noto style"], seeds=[3])[0]
    assert adapter.pipeline.unet.dtype == dtype
    assert (full - half).abs().mean() < 0.1


def test_training_on_the_gpu_ends_where_training_on_the_cpu_ends() -> None:
    gaps = {}
    request = Request(("voice21",), ("voice05",))
    for device in ("cpu", "cuda"):
        model = SpeechT5("bundled", variants=1).to(device)
        gaps[device] = redact(model, request, objective=Distillation(), steps=5, batch_size=16)["redact"]
    assert gaps["cuda"] == pytest.approx(gaps["cpu"], rel=0.05)


def test_seeds_leave_the_generators_as_they_were() -> None:
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    with seeded(1, torch.device("cuda")):
        first = torch.rand(3, device="cuda")
    with seeded(1, torch.device("cuda", 0)):
        assert torch.equal(torch.rand(3, device="cuda"), first)
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_fit_evaluate_and_attack_as_commands(precision: str, tmp_path: Path, tiny_sd: Path) -> None:
    out, model = tmp_path / "out", "--model.adapter"
    assert command(
        "fit", model, "modalities.text_to_image.StableDiffusion", f"{model}.source", tiny_sd, f"{model}.implicit_synonyms", 3,
        f"{model}.per_name", 2, "--data.redact", "cat", "--data.reference", "dog", "--trainer.max_steps", 3,
        "--trainer.accelerator", "gpu", "--trainer.precision", precision, "--trainer.logger", "false",
        "--export.folder", out,
    ) == 0  # fmt: skip
    card = RedactionCard.read(out)
    assert card.cost["peak_bytes"] > 0
    assert all(value == value for value in card.measures.values())
    common = (
        "--base", "modalities.text_to_image.StableDiffusion", "--base.source", tiny_sd, "--base.steps", 2,
        "--redacted", out, "--scorers", "[{class_path: modalities.text_to_image.metrics.grader_scorer.GraderScorer}]",
    )  # fmt: skip
    (tmp_path / "plan.csv").write_text(
        "condition,group,task,seed,redacted,concept\na cat,redacted,concept,0,true,cat\n"
        "a dog,retained,concept,1,false,dog\n"
    )
    assert command(
        "evaluate", *common, "--plan", tmp_path / "plan.csv", "--trainer.precision", precision, "--device", "cuda",
        "--out", tmp_path / "evidence",
    ) == 0  # fmt: skip
    if precision == "32-true":
        assert command("score", tmp_path / "evidence", "--device", "cpu") == 0
        assert command(
            "attack", *common, "--redact", "cat", "--reference", "dog", "--n", 2, "--attacks", "[SoftPrompt: {steps: 2}]",
            "--device", "cuda", "--out", tmp_path / "attacks",
        ) == 0  # fmt: skip
