"""What people type names no dtype: bundled bases and redacted folders of half-precision bases run so, and with one."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file
from tiny import tiny_stable_diffusion, tiny_stable_diffusion_xl
from tiny_speech import tiny_speecht5
from transformers import CLIPModel, SpeechT5ForTextToSpeech, SpeechT5Processor

from modalities.stated_dtype import half_parts, load_in_float32, loaded_as
from modalities.text_to_image import StableDiffusion, StableDiffusionXL
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_speech.adapters import model_folder
from modalities.text_to_speech.adapters.speecht5 import BUNDLED as SPEECH
from redact_core import Lesson, Request, redact
from redact_core.support.folders import hashes

MIXED = r"must have the same dtype|expected .* dtype"


def draw(folder: Path, **options) -> None:
    """A picture as anyone asks for one, in one step."""
    pipeline = DiffusionPipeline.from_pretrained(folder, **options)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("a red cat", num_inference_steps=1, output_type="pt").images[0]
    assert picture.dtype == options.get("dtype", torch.float32)
    assert picture.isfinite().all()


def config_of(folder: Path, part: str = "text_encoder") -> dict:
    return json.loads((folder / part / "config.json").read_text())


def state(folder: Path, part: str = "text_encoder", **values: str | None) -> None:
    """Let a part's configuration state a dtype; ``None`` takes the entry out."""
    kept = {
        key: value for key, value in config_of(folder, part).items() if key not in ("dtype", "torch_dtype")
    }
    kept |= {key: value for key, value in values.items() if value}
    (folder / part / "config.json").write_text(json.dumps(kept))


def remarks_on_the_base(model: StableDiffusion) -> tuple[str, ...]:
    """Those that are not about rows: the tiny vocabulary has no long words, so some rows do not fit."""
    return tuple(remark for remark in model.remarks if "rows of our own making" not in remark)


def save(model: StableDiffusion, target: Path) -> Path:
    target.mkdir()
    model.save(target)
    return target


@pytest.mark.parametrize("options", [{}, {"dtype": torch.float16}, {"dtype": torch.bfloat16}])
def test_the_bundled_pipeline_draws(options: dict) -> None:
    draw(BUNDLED / "pipeline", **options)


def test_the_bundled_speech_and_clip_models_load_in_float32() -> None:
    model = SpeechT5ForTextToSpeech.from_pretrained(SPEECH / "tts").eval()
    letters = SpeechT5Processor.from_pretrained(SPEECH / "tts")(text="a cat", return_tensors="pt")[
        "input_ids"
    ]
    mel = model.generate_speech(letters, torch.zeros(1, 192), maxlenratio=2.0)
    assert mel.dtype == torch.float32
    for name in ("clip", "clip_judge"):
        assert CLIPModel.from_pretrained(BUNDLED / name).dtype == torch.float32


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base as ``pipeline.half().save_pretrained`` writes it."""
    folder = tiny_stable_diffusion(tmp_path_factory.mktemp("base") / "half")
    pipeline = DiffusionPipeline.from_pretrained(folder).to(torch.float16)
    shutil.rmtree(folder)
    pipeline.save_pretrained(folder)
    assert config_of(folder)["dtype"] == "float16"
    return folder


def test_a_half_precision_base_needs_a_dtype_and_its_redacted_folder_does_not(
    half: Path, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match=MIXED):
        draw(half)
    model = StableDiffusion(str(half))
    model.expand(Request(("cat",), ("dog",)))
    assert remarks_on_the_base(model) == (
        f"{half} is loaded by transformers 5 with text_encoder as float16 and by diffusers otherwise in float32, "
        "so it runs only where a dtype is named; the redacted folder states float32 and runs with and without one.",
    )
    out = save(model, tmp_path / "out")
    changed = {name for name, value in hashes(out).items() if value != hashes(half)[name]}
    assert "text_encoder/config.json" in changed
    assert config_of(out) == config_of(half) | {"dtype": "float32"}
    assert {v.dtype for v in load_file(out / "text_encoder/model.safetensors").values()} == {torch.float16}
    for options in ({}, {"dtype": torch.float32}, {"dtype": torch.float16}):
        draw(out, **options)


@pytest.mark.parametrize("key", ["torch_dtype", None])
def test_the_older_entry_and_none_at_all(half: Path, tmp_path: Path, key: str | None) -> None:
    """Older versions write ``torch_dtype``; without an entry transformers goes by the weights."""
    base = Path(shutil.copytree(half, tmp_path / "base"))
    state(base, **{key: "float16"} if key else {})
    with pytest.raises(RuntimeError, match=MIXED):
        draw(base)
    out = save(StableDiffusion(str(base)), tmp_path / "out")
    assert config_of(out)[key or "dtype"] == "float32"
    draw(out)


def test_a_variant_is_typed_as_before(half: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(half, tmp_path / "base"))
    for path in list(base.rglob("*.safetensors")):
        path.rename(path.with_suffix(".fp16.safetensors"))
    out = save(StableDiffusion(str(base), variant="fp16"), tmp_path / "out")
    for options in ({}, {"dtype": torch.float16}):
        draw(out, variant="fp16", **options)


def test_both_encoders_of_xl_as_on_the_hub(tmp_path: Path) -> None:
    """Weights in single precision, configurations that state half."""
    base = tiny_stable_diffusion_xl(tmp_path / "base")
    for part in ("text_encoder", "text_encoder_2"):
        state(base, part, torch_dtype="float16")
    with pytest.raises(RuntimeError, match=MIXED):
        draw(base, add_watermarker=False)
    model = StableDiffusionXL(str(base))
    model.expand(Request(("cat",), ("dog",)))
    assert "text_encoder as float16 and text_encoder_2 as float16" in model.remarks[0]
    draw(save(model, tmp_path / "out"), add_watermarker=False)


def test_what_is_loaded_in_float32_keeps_its_bits(tiny_sd: Path, tmp_path: Path) -> None:
    model = StableDiffusion(str(tiny_sd))
    model.expand(Request(("cat",), ("dog",)))
    assert remarks_on_the_base(model) == ()
    out = save(model, tmp_path / "out")
    assert (out / "text_encoder/config.json").read_bytes() == (
        tiny_sd / "text_encoder/config.json"
    ).read_bytes()


def test_a_speech_model_whose_generator_was_changed(tmp_path: Path) -> None:
    base = tiny_speecht5(tmp_path / "base")
    model = SpeechT5ForTextToSpeech.from_pretrained(base).half()
    model.save_pretrained(base)
    out = tmp_path / "out"
    out.mkdir()
    model_folder.write(model.float(), base, out)
    letters = SpeechT5Processor.from_pretrained(out)(text="the fox", return_tensors="pt")["input_ids"]
    for folder, runs in ((base, False), (out, True)):
        loaded = SpeechT5ForTextToSpeech.from_pretrained(folder).eval()
        if runs:
            assert loaded.generate_speech(letters, torch.zeros(1, 12)).isfinite().all()
        else:
            with pytest.raises(RuntimeError, match=MIXED):
                loaded.generate_speech(letters, torch.zeros(1, 12))


def test_what_says_nothing_is_left_alone(tmp_path: Path) -> None:
    assert loaded_as(tmp_path) is None
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL", "dtype": "float16"}')
    assert loaded_as(tmp_path) is None, "diffusers' own classes always load float32"
    (tmp_path / "config.json").write_text('{"model_type": "clip_text_model"}')
    assert loaded_as(tmp_path) is None
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    assert loaded_as(tmp_path) is None
    ids = {"a": torch.arange(3), "b": torch.ones(2, dtype=torch.bfloat16)}
    save_file(ids, tmp_path / "model.safetensors")
    assert half_parts([tmp_path]) == {tmp_path.name: "bfloat16"}
    load_in_float32(tmp_path)
    assert loaded_as(tmp_path) == "float32"


def test_lessons_are_carried_into_a_folder_that_runs(half: Path, tmp_path: Path) -> None:
    model = StableDiffusion(str(half))
    redact(model, [Lesson.redact("cat", "dog"), Lesson.retain("red")], steps=2)
    draw(save(model, tmp_path / "out"))
