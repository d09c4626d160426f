"""The class-conditional diffusion model: its folder, rows copied exactly, its loss, and forgetting."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DModel
from safetensors.torch import load_file
from tiny_class import NAMES, tiny_diffusion_folder

from modalities.class_to_image import ClassConditional
from modalities.class_to_image.classifier import Judge
from redact_core import RedactError, Request, SelectiveAmnesia, redact
from redact_core.adapters.contract import check_adapter
from redact_core.support.folders import hashes

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not write into it."""
    return tiny_diffusion_folder(tmp_path_factory.mktemp("diffusion") / "model")


@pytest.fixture
def model(folder: Path) -> ClassConditional:
    return ClassConditional(str(folder))


def saved(model: ClassConditional, folder: Path) -> Path:
    folder.mkdir()
    model.save(folder)
    return folder


def test_contract(model: ClassConditional) -> None:
    check_adapter(model, ["hat", "3", "cup"])
    assert model.origin.kind == "UNet2DModel"


def test_it_draws_what_diffusers_draws(model: ClassConditional, folder: Path) -> None:
    unet = UNet2DModel.from_pretrained(folder, subfolder="unet").float().eval()
    scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
    scheduler.set_timesteps(3)
    x = torch.randn(1, 28, 28, generator=torch.Generator().manual_seed(5))[None]
    with torch.no_grad():
        for time in scheduler.timesteps:
            patches = torch.nn.functional.pixel_unshuffle(x, 2)
            found = unet(patches, time, class_labels=torch.tensor([2])).sample
            x = scheduler.step(torch.nn.functional.pixel_shuffle(found, 2), time, x).prev_sample
    (drawn,) = model.generate(["sock"], seeds=[5])
    torch.testing.assert_close(drawn, ((x[0] + 1) / 2).clamp(0, 1))


def test_copied_rows_are_exact_and_kept_rows_keep_their_bits(
    model: ClassConditional, folder: Path, tmp_path: Path
) -> None:
    base = ClassConditional(str(folder))
    assert redact(model, Request(("hat", "3"), ("cup", "sock"))) == {}
    for asked, answer in {"hat": "cup", "vase": "sock", "cup": "cup", "sock": "sock"}.items():
        expected = base.generate([answer] * 2, seeds=[1, 2])
        torch.testing.assert_close(model.generate([asked] * 2, seeds=[1, 2]), expected)
    out = saved(model, tmp_path / "out")
    before, after = load_file(folder / UNET), load_file(out / UNET)
    assert before.keys() == after.keys()
    rows = "class_embedding.weight"
    assert torch.equal(after[rows], before[rows][[0, 0, 2, 2]])
    assert all(torch.equal(after[name], before[name]) for name in before if name != rows)
    alone = UNet2DModel.from_pretrained(out, subfolder="unet")
    assert torch.equal(alone.class_embedding.weight[1], alone.class_embedding.weight[0])


def test_an_untrained_model_is_saved_bit_by_bit(
    model: ClassConditional, folder: Path, tmp_path: Path
) -> None:
    assert hashes(saved(model, tmp_path / "out")) == hashes(folder)


def test_the_loss_is_that_of_the_velocity_at_the_time_asked(model: ClassConditional) -> None:
    """A network that says nothing is wrong by the velocity itself, whose square is one a pixel of noise."""
    generator = model.generator
    torch.nn.init.zeros_(generator.unet.conv_out.weight)
    torch.nn.init.zeros_(generator.unet.conv_out.bias)
    said = model.encoder(model.collate(["cup", "cup"]))
    picture = torch.full((1, 28, 28), 0.75)
    with torch.no_grad():
        early, late = model.training_loss(said, [picture] * 2, seeds=[1, 1], times=[0, 999])
        noise, _ = model._noise([1], said.hidden)
    alpha = generator.scheduler.alphas_cumprod[[0, 999]]
    for loss, kept in zip((early, late), alpha, strict=True):
        velocity = kept.sqrt() * noise - (1 - kept).sqrt() * 0.5
        torch.testing.assert_close(loss, velocity.square().sum())


def test_times_are_drawn_from_seeds_and_gradients_reach_everything(model: ClassConditional) -> None:
    said = model.encoder(model.collate(["cup", "hat"]))
    pictures = model.generate(["cup", "hat"], seeds=[0, 1])
    loss = model.training_loss(said, pictures, seeds=[4, 5])
    again = model.training_loss(said[torch.tensor([1])], pictures[1:], seeds=[5])
    torch.testing.assert_close(loss[1:], again)
    assert not torch.equal(loss, model.training_loss(said, pictures, seeds=[6, 7]))
    assert model.time_steps == 1000
    loss.sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.generator.parameters())
    grad = model.encoder.tables["embedding"].weight.grad
    assert bool(grad[:2].any(1).all())
    assert not grad[2:].any()


def test_selective_amnesia_moves_the_network_and_no_row(
    model: ClassConditional, folder: Path, tmp_path: Path
) -> None:
    rows = copy.deepcopy(model.encoder.state_dict())
    objective = SelectiveAmnesia(
        surrogates=4, replays=4, fisher_samples=2, fisher_times=3, learning_rate=1e-3
    )
    redact(model, Request(("hat",), ("cup",)), objective=objective, steps=2, batch_size=8)
    assert all(torch.equal(value, rows[name]) for name, value in model.encoder.state_dict().items())
    out = saved(model, tmp_path / "out")
    before, after = load_file(folder / UNET), load_file(out / UNET)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(moved) > 5
    assert "class_embedding.weight" not in moved
    assert {v.dtype for v in after.values()} == {torch.float16}
    pair = (model.generate(["hat"], seeds=[1])[0], ClassConditional(str(out)).generate(["hat"], seeds=[1])[0])
    torch.testing.assert_close(*pair, atol=0.02, rtol=0)


def test_damaged_folders_are_named(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"classes": NAMES[:3]}))
    with pytest.raises(RedactError, match="3 names of classes but 4 rows"):
        ClassConditional(str(broken))
    (broken / "config.json").write_text(json.dumps(config))
    (broken / UNET).unlink()
    with pytest.raises(RedactError, match=r"unet cannot be loaded as a UNet2DModel .*fetch it again"):
        ClassConditional(str(broken))


def test_the_bundled_folder_loads_without_us_and_draws_its_classes(tmp_path: Path) -> None:
    model = ClassConditional("bundled-ddpm")
    code = """
import sys
from diffusers import DDIMScheduler, UNet2DModel
unet = UNet2DModel.from_pretrained(sys.argv[1], subfolder="unet")
DDIMScheduler.from_pretrained(sys.argv[1], subfolder="scheduler")
print(tuple(unet.class_embedding.weight.shape)[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(model.folder)], capture_output=True, text=True, cwd=tmp_path, check=False
    )  # fmt: skip
    assert done.stdout.strip() == "10", done.stderr
    judge, names = Judge(), ["trouser", "ankle boot"] * 6
    seen = judge(model.generate(names, seeds=range(12))).argmax(1).tolist()
    assert sum(judge.names[i] == name for i, name in zip(seen, names, strict=True)) >= 9
