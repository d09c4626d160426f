"""Without a GPU: every model, method and attack where ``cuda`` is pretended and tensors of two devices do not mix."""

from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from device_matrix import (
    METHODS,
    MODELS,
    PRECISIONS,
    attack_of,
    carry_out,
    rows_of,
    take_step,
)
from pretended_gpu import CUDA, OnGpu, pretended_gpu

from lightning_modules.comparison.bench import Bench
from modalities.text_to_image import Espresso, StableDiffusion
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.metrics.grader import Judge
from modalities.text_to_speech.encoders.distortion import distort
from modalities.text_to_speech.judges.judge import BUNDLED as SPEECH
from modalities.text_to_speech.judges.judge import VoiceJudge
from redact_core.adapters.contract import check_adapter
from redact_core.support.devices import move

QUICK = {
    "prompt": ("GreedyCoordinate: {tokens: 2, steps: 6}", "HiddenState: {steps: 8}", "ImageToImage: {strength: 0.4}"),
    "voice": ("ClipGradient: {snr: 30}", "Mixtures", "EncoderSwap"),
}  # fmt: skip
"""Of the quick suites, what goes through most code; all of them are marked slow."""


@pytest.fixture
def gpu() -> Generator[torch.device]:
    with pretended_gpu() as device:
        yield device


def test_devices_do_not_mix(gpu: torch.device) -> None:
    here, there = torch.ones(3), torch.ones(3).to(gpu)
    assert there.device == CUDA
    assert isinstance(there + 1, OnGpu)
    with pytest.raises(RuntimeError, match="at least two devices, cuda:0 and cpu"):
        here + there
    with pytest.raises(RuntimeError, match="at least two devices"):
        torch.stack([here, there])
    with pytest.raises(RuntimeError, match="'cuda' device type for generator"):
        torch.randn(3, device=gpu, generator=torch.Generator())
    assert torch.equal((here.to(there) + there).cpu(), torch.full((3,), 2.0))


def test_gradients_cross_devices(gpu: torch.device) -> None:
    weight = torch.ones(2, requires_grad=True)
    (3 * weight.to(gpu)).sum().cpu().backward()
    assert torch.equal(weight.grad, torch.full((2,), 3.0))


# pairs, HiFi-GAN and the denoiser of classes share their code paths with others: slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in ("prompt pair", "voice by HiFi-GAN") else [])
        for name in MODELS
    ],
)
def test_contract(name: str, gpu: torch.device, tmp_path: Path) -> None:
    model, conditions = MODELS[name](tmp_path)
    assert model.to("cuda").device == gpu
    check_adapter(model, conditions)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        pytest.param(
            name, kind, marks=[] if kind == "32-true" or name == "robust, prompts" else [pytest.mark.slow]
        )
        for name in METHODS
        for kind in PRECISIONS
    ],
)
def test_step(name: str, precision: str, gpu: torch.device, tmp_path: Path) -> None:
    kind, method = METHODS[name]
    model, conditions = MODELS[kind](tmp_path)
    take_step(model.to(gpu), conditions, method(), precision)


def test_a_compared_model_is_beside_a_base_on_another_device(gpu: torch.device, tmp_path: Path) -> None:
    """A base that has drawn nothing has its denoiser where it was loaded."""
    (base, _), (model, _) = (MODELS["prompt"](tmp_path / name) for name in ("base", "model"))
    bench = object.__new__(Bench)
    bench.base = base
    model.to(gpu)
    with torch.no_grad():
        next(iter(model.encoder.parameters())).add_(1)
    what, size = bench.changed(model)
    assert what == "encoder"
    assert size == 4 * next(iter(base.encoder.parameters())).numel()


@pytest.mark.parametrize("kind", QUICK)
def test_attacks(kind: str, gpu: torch.device, tmp_path: Path) -> None:
    attacked(kind, QUICK[kind], gpu, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", QUICK)
def test_quick_suites(kind: str, gpu: torch.device, tmp_path: Path) -> None:
    attacked(kind, None, gpu, tmp_path)


def attacked(kind: str, entries: tuple[str, ...] | None, gpu: torch.device, tmp_path: Path) -> None:
    (base, conditions), (model, _) = (MODELS[kind](tmp_path / name) for name in ("base", "model"))
    for one in (base, model):
        one.to(gpu)
    problems = []
    for entry in entries or base.suites["quick"]:
        try:
            carry_out(attack_of(entry, tmp_path), model, base, rows_of(base, conditions))
        except Exception as error:
            problems.append(f"{entry}: {type(error).__name__}: {error}")
    assert not problems, "\n".join(problems)


def test_variants_of_a_clip_are_the_same_on_every_device(gpu: torch.device) -> None:
    waves = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    here, there = (distort(x, torch.Generator().manual_seed(1)) for x in (waves, waves.to(gpu)))
    assert there.device == gpu
    assert torch.equal(there.cpu(), here)


def test_judges_take_and_give_tensors_on_the_cpu(gpu: torch.device) -> None:
    pictures = list(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    judge = Judge()
    before = judge(pictures)
    judge.grader.to(gpu)
    assert torch.equal(judge(pictures).features, before.features)
    voices = VoiceJudge({})
    wave = torch.randn(16_000, generator=torch.Generator().manual_seed(0))
    heard, read = voices.embed([wave]), voices.read([wave])
    for network in voices.networks:
        move(network, gpu)
    try:
        assert next(voices.recogniser.parameters()).device == gpu
        torch.testing.assert_close(voices.embed([wave]), heard)
        assert voices.read([wave]) == read
    finally:
        for network in voices.networks:
            move(network, "cpu")
    assert (SPEECH / "verifier").is_dir()


@pytest.mark.skipif(not (BUNDLED / "clip" / "config.json").is_file(), reason="no CLIP is here")
def test_espresso_moves_its_clip(gpu: torch.device, tiny_sd: Path) -> None:
    guard = Espresso(StableDiffusion(str(tiny_sd), steps=2), ["a cigarette"], ["a lollipop"])
    pictures = list(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        before = guard.embed(pictures)
        assert guard.to(gpu) is guard
        torch.testing.assert_close(guard.embed(pictures), before)
    assert next(guard.clip.model.parameters()).device == gpu
    assert guard.generate(["a cat"], seeds=[0])[0].device.type == "cpu"
