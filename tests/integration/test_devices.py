"""Devices and precisions without a GPU: what is refused at the start, and what is computed where."""

import copy
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as processes
from command import redact as command
from tiny_staged import tiny_staged

from lightning_modules.support.devices import checked_precision, chosen_device
from modalities.staged_to_image import StagedText
from modalities.text_to_image import StableDiffusion
from redact_core import (
    Conditioning,
    Distillation,
    Guard,
    Objective,
    RedactError,
    Request,
    SequentialDistillation,
    redact,
)
from redact_core.adapters.contract import ToyAdapter
from redact_core.adapters.disturbance import Disturbable
from redact_core.objectives._parts.input_pgd import InputAttack, input_pgd
from redact_core.support.devices import move, seeded, without_float16
from redact_core.support.processes import on_first, refuse_several


@pytest.mark.parametrize("given", ["16-true", "bf16-true", "64-true", "64", "transformer-engine"])
def test_fit_refuses_other_precisions_at_the_start(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status = command(
        "fit", "--model.adapter", "redact_core.adapters.contract.ToyAdapter", "--data.redact", "plum", "--trainer.precision",
        given, "--export.folder", out,
    )  # fmt: skip
    said = capsys.readouterr().err
    assert status == 2
    assert said == f"redact: trainer.precision is {given}; give one of 32-true, bf16-mixed, 16-mixed.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "full"),
    [(None, "32-true"), (32, "32-true"), ("bf16", "bf16-mixed"), (16, "16-mixed"), ("16-mixed", "16-mixed")],
)
def test_precisions_by_their_short_names(given: object, full: str) -> None:
    assert checked_precision(given) == full


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert chosen_device("auto") == chosen_device(None) == chosen_device("cpu") == torch.device("cpu")
    with pytest.raises(RedactError, match=r"--device is cuda, and torch sees no GPU; give cpu or auto\."):
        chosen_device("cuda")
    with pytest.raises(RedactError, match=r"--device is gpu; give auto, cpu, cuda or cuda:N\."):
        chosen_device("gpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device("auto") == torch.device("cuda")
    assert chosen_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(RedactError, match=r"--device is cuda:2, and torch sees 2 GPUs; give cpu or auto\."):
        chosen_device("cuda:2")


class Around(Guard):
    def generate(self, conditions, *, seeds):
        return self.inner.generate(conditions, seeds=seeds)


def test_adapters_say_where_they_are_and_move() -> None:
    model = ToyAdapter()
    guard = Around(model)
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.float32)
    assert guard.to("meta") is guard
    assert model.device == guard.device == torch.device("meta")
    half = ToyAdapter().to(dtype=torch.float16)
    assert half.dtype == torch.float16
    with pytest.raises(RedactError, match=r"weights are float16; training needs float32: call to\(dtype"):
        redact(half, Request(("plum",), ("pear",)), steps=1)


def test_half_precision_pictures_begin_with_the_same_noise(tiny_sd: Path) -> None:
    model = StableDiffusion(str(tiny_sd), steps=1)
    full = model.generate(["a cat"], seeds=[3])[0]
    half = model.to(dtype=torch.bfloat16).generate(["a cat"], seeds=[3])[0]
    other = model.generate(["a cat"], seeds=[4])[0]
    assert model.pipeline.unet.dtype == torch.bfloat16
    assert (full - half).abs().mean() < 0.3 * (other - half).abs().mean()


def test_a_pipeline_first_used_in_inference_mode_can_be_trained(tiny_sd: Path) -> None:
    model = StableDiffusion(str(tiny_sd), steps=1)
    with torch.inference_mode():
        pictures = model.generate(["a cat"], seeds=[0])
    pictures = [picture.clone() for picture in pictures]
    model.training_loss(model.encode(["a cat"]), pictures, seeds=[1]).sum().backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in model.generator.parameters())


def test_modules_moved_in_inference_mode_stay_ordinary() -> None:
    layer = torch.nn.Linear(2, 2)
    with torch.inference_mode():
        move(layer, "cpu", torch.float64)
    assert not layer.weight.is_inference()
    layer(torch.ones(1, 2, dtype=torch.float64)).sum().backward()


def test_seeds_are_set_on_one_device_only(monkeypatch: pytest.MonkeyPatch) -> None:
    touched: list[object] = []
    fork = torch.random.fork_rng
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: touched.append(devices) or fork(devices))
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: touched.append(seed))
    torch.manual_seed(5)
    expected = torch.Generator().manual_seed(7)
    before = torch.get_rng_state()
    touched.clear()
    with seeded(7, torch.device("cpu")):
        assert torch.equal(torch.rand(3), torch.rand(3, generator=expected))
    assert touched == [[]]
    assert torch.equal(torch.get_rng_state(), before)


class Faint(torch.nn.Module):
    """An encoder whose answers move so little that their gradients are nothing in float16."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4, bias=False)
        torch.nn.init.eye_(self.linear.weight)

    def forward(self, inputs):
        hidden = 1e-5 * self.linear(inputs["x"])
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool))


def test_attacks_are_searched_without_float16() -> None:
    """The loss scaler of 16-mixed never sees their gradients, which would be zero there."""
    soft = Disturbable(torch.ones(1, 1), 4, lambda change: {"x": change})
    victims = Conditioning(torch.full((1, 1, 4), 3e-5), torch.ones(1, 1, dtype=torch.bool))

    def found() -> torch.Tensor:
        return input_pgd(Faint(), soft, victims, InputAttack(3, 1.0), torch.Generator().manual_seed(0))

    plain = found()
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(found(), plain)
        with without_float16(torch.device("cpu")):
            assert not torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", torch.bfloat16), without_float16(torch.device("cpu")):
        assert torch.is_autocast_enabled("cpu")  # it has the range of float32


class Asks(ToyAdapter):
    """Notes where its encoder was when the lessons were made."""

    devices: list[torch.device]

    def expand(self, request):
        type(self).devices = [self.device]
        return super().expand(request)


def test_lessons_are_made_on_the_device_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    move_to = ToyAdapter.to
    monkeypatch.setattr(
        ToyAdapter, "to", lambda self, device=None, dtype=None: asked.append(str(device)) or move_to(self, device, dtype)
    )  # fmt: skip
    expand = ToyAdapter.expand
    monkeypatch.setattr(
        ToyAdapter, "expand", lambda self, request: asked.append("expand") or expand(self, request)
    )
    status = command(
        "fit", "--model.adapter", "redact_core.adapters.contract.ToyAdapter", "--data.redact", "plum", "--trainer.max_steps", 1,
        "--trainer.accelerator", "cpu", "--trainer.logger", "false", "--export.folder", tmp_path / "out",
    )  # fmt: skip
    assert status == 0
    assert asked[:2] == ["cpu", "expand"]


def test_one_process_only_is_enforced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RedactError, match="Sequential trains in one process only, and 2 were started"):
        refuse_several("Sequential", 2)
    refuse_several("Sequential", 1)
    model, method = StagedText(str(tiny_staged(tmp_path / "staged"))), SequentialDistillation()
    student = method.prepare(model)
    monkeypatch.setattr("redact_core.objectives.sequential.process_count", lambda: 2)
    with pytest.raises(RedactError, match="SequentialDistillation trains in one process only, and 2 were"):
        method.rows(model, copy.deepcopy(student), [], seed=0)


class Add(Objective):
    """Adds to the encoder's weights, by how often it was asked."""

    def solve(self, adapter, lessons, *, seed=0):
        with torch.no_grad():
            adapter.encoder.out.add_(1 + torch.distributed.get_rank())
        return True

    def forward(self, student, batch):
        raise NotImplementedError


def together(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    model = ToyAdapter()
    before = model.encoder.out.detach().clone()
    on_first(lambda: Add().solve(model, []), model.encoder)
    assert torch.equal(model.encoder.out, before + 1), rank

    def fails() -> None:
        raise RedactError("no map")

    with pytest.raises(RedactError, match="no map" if rank == 0 else "failed in the first process"):
        on_first(fails, model.encoder)
    Path(folder, str(rank)).touch()


@pytest.mark.slow
def test_a_start_is_solved_by_the_first_process_and_shared(tmp_path: Path) -> None:
    processes.start_processes(together, (str(tmp_path),), nprocs=2, start_method="spawn")
    assert {"0", "1"} <= {path.name for path in tmp_path.iterdir()}


def test_a_start_with_one_process_is_solved_here() -> None:
    model, calls = ToyAdapter(), []
    on_first(lambda: calls.append(1), model.encoder)
    assert calls == [1]
    assert isinstance(Distillation(), Objective)
