"""Weights as they lie in folders: split over several files, in variants, or not there at all."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from modalities.stock import find
from modalities.text_to_image import StableDiffusion
from redact_core import RedactError, redact
from redact_core.types import Lesson

LESSONS = [Lesson.redact("cat", "dog"), Lesson.retain("red")]


@pytest.fixture(scope="module")
def sharded(tiny_sd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``save_pretrained`` writes what is larger than its limit."""
    folder = tmp_path_factory.mktemp("base") / "sharded"
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_sd, safety_checker=None, dtype=torch.float32)
    pipeline.save_pretrained(folder, max_shard_size="20KB")
    return folder


@pytest.fixture
def base(tiny_sd: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_sd, tmp_path / "base"))


def exported(source: Path, out: Path, **options) -> StableDiffusion:
    """``source`` redacted a little, saved and opened again."""
    model = StableDiffusion(str(source), steps=1, **options)
    redact(model, LESSONS, steps=3, lr=1e-2)
    out.mkdir()
    model.save(out)
    return StableDiffusion(str(out), steps=1, **options)


def test_split_weights_are_redacted_and_written_split(sharded: Path, tmp_path: Path) -> None:
    parts = sorted(path.name for path in (sharded / "text_encoder").glob("*.safetensors"))
    assert len(parts) > 1
    assert len(list((sharded / "unet").glob("*.safetensors"))) > 1
    again = exported(sharded, tmp_path / "out")
    names = {p.relative_to(sharded) for p in sharded.rglob("*") if p.is_file()}
    assert names == {p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*") if p.is_file()}
    for name in parts:
        old, new = (load_file(folder / "text_encoder" / name) for folder in (sharded, tmp_path / "out"))
        assert old.keys() == new.keys()
    assert again.generate(["cat"], seeds=[0])[0].shape == (3, 16, 16)
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "out", safety_checker=None)
    state = pipeline.text_encoder.state_dict()
    assert all(torch.equal(state[k].float(), v) for k, v in again.encoder.model.state_dict().items())


def test_a_changed_denoiser_is_written_split(sharded: Path, tmp_path: Path) -> None:
    model = StableDiffusion(str(sharded))
    with torch.no_grad():
        model.generator.conv_in.weight += 1
    model.save(tmp_path)
    again = StableDiffusion(str(tmp_path))
    assert torch.equal(again.generator.conv_in.weight, model.generator.conv_in.weight)
    first = find(sharded / "unet", "diffusion_pytorch_model")
    same = [path.read_bytes() == (tmp_path / "unet" / path.name).read_bytes() for path in first.files]
    assert same.count(False) == 1  # the other files are copied


@pytest.mark.parametrize(
    ("part", "stem"),
    [("text_encoder", "model"), ("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model")],
)
def test_a_variant_of_some_parts_only(base: Path, tmp_path: Path, part: str, stem: str) -> None:
    (base / part / f"{stem}.safetensors").rename(base / part / f"{stem}.fp16.safetensors")
    with pytest.raises(
        RedactError, match=rf'{part} holds {stem}.safetensors only as the variant "fp16"; set variant to fp16'
    ):
        StableDiffusion(str(base))
    again = exported(base, tmp_path / "out", variant="fp16")
    assert again.generate(["cat"], seeds=[0])[0].shape == (3, 16, 16)


def lfs(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lfs, "is no readable safetensors file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is no readable safetensors file"),
        (lambda path: path.unlink(), "; the folder is not complete, fetch it again"),
        (lambda path: path.rename(path.with_suffix(".bin")), "is a pickled weight file"),
        (
            lambda path: path.rename(path.with_name("adapter_model.safetensors")),
            "holds an adapter .*merge_and_unload",
        ),
        (lambda path: path.rename(path.with_name("other.safetensors")), "holds other.safetensors where"),
    ],
)
def test_what_will_be_needed_is_checked_at_the_start(base: Path, part: str, harm, message: str) -> None:
    (path,) = (base / part).glob("*.safetensors")
    harm(path)
    with pytest.raises(RedactError, match=message):
        StableDiffusion(str(base))


@pytest.mark.parametrize("stored", ["absent", "int8"])
def test_a_text_model_that_is_not_whole_is_refused(base: Path, stored: str) -> None:
    path = base / "text_encoder" / "model.safetensors"
    state = load_file(path)
    name = next(name for name in state if name.endswith("fc2.weight"))
    value = state.pop(name)
    if stored == "int8":
        state[name] = value.to(torch.int8)
    save_file(state, path, metadata={"format": "pt"})
    words = {
        "absent": r"does not hold .*fc2\.weight, 1 missing in all",
        "int8": "fc2.weight is stored as whole numbers",
    }
    with pytest.raises(RedactError, match=words[stored] + r"\); fetch it again"):
        StableDiffusion(str(base))


def without_a_weight(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    state = load_file(path)
    del state[sorted(state)[0]]
    save_file(state, path, metadata={"format": "pt"})


def with_a_cut_weight(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    state = load_file(path)
    name = sorted(state)[0]
    state[name] = state[name].flatten()[:-1].clone()
    save_file(state, path, metadata={"format": "pt"})


def with_noise(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(b"\x93\x07{noise")


@pytest.mark.parametrize(
    ("part", "harm", "message"),
    [
        (
            "unet",
            without_a_weight,
            r"as a UNet2DConditionModel \(its file does not hold .*, 1 missing in all\)",
        ),
        ("vae", without_a_weight, r"as a AutoencoderKL \(its file does not hold"),
        ("unet", with_noise("config.json"), "as a UNet2DConditionModel"),
        ("text_encoder", with_a_cut_weight, r"has the shape \(.*\) in its file, \(.*\) in the model"),
        ("scheduler", with_noise("scheduler_config.json"), "cannot be read as a "),
        ("tokenizer", with_noise("tokenizer.json"), "cannot be loaded as a CLIPTokenizer"),
    ],
)
def test_a_part_that_is_not_whole_is_refused_at_the_start(base: Path, part: str, harm, message: str) -> None:
    harm(base / part)
    with pytest.raises(RedactError, match=message) as refused:
        StableDiffusion(str(base))
    assert str(refused.value).endswith("fetch it again.")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "is no index of weight files"),
        ("[]", "is no index of weight files"),
        ({"weight_map": {}}, "names no file"),
        (
            {"weight_map": {"a": "../elsewhere.safetensors"}},
            "names ../elsewhere.safetensors, which is not beside it",
        ),
        ({"weight_map": {"a": "gone.safetensors"}}, "gone.safetensors is missing"),
    ],
)
def test_a_faulty_index_is_refused(tmp_path: Path, index: object, message: str) -> None:
    text = index if isinstance(index, str) else json.dumps(index, allow_nan=False)
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(RedactError, match=message):
        find(tmp_path)


def test_a_tokenizer_without_a_length_is_refused_with_the_remedy(base: Path) -> None:
    settings = base / "tokenizer" / "tokenizer_config.json"
    values = json.loads(settings.read_text())
    del values["model_max_length"]
    settings.write_text(json.dumps(values))
    with pytest.raises(RedactError, match=r'says no model_max_length, .*write "model_max_length": 77 into'):
        StableDiffusion(str(base))
    settings.write_text(json.dumps(values | {"model_max_length": 77}))
    StableDiffusion(str(base))
