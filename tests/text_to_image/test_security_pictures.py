"""A folder of pictures' models never runs code: every attack would leave a file behind, and none does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_speech import tiny_encoder, tiny_speecht5

from modalities.hub import locate, locate_here
from modalities.received import check_folder
from modalities.text_to_image import StableDiffusion
from modalities.text_to_speech import SpeechT5
from redact_core import RedactError


@pytest.fixture
def folder(tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy; a module ``evil_part`` beside it leaves a file behind when it is imported."""
    (tmp_path / "evil_part.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\nclass X: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return Path(shutil.copytree(tiny_sd, tmp_path / "copy"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "part", ["unet", "vae", "scheduler", "tokenizer", "text_encoder", "feature_extractor", "mine"]
)
def test_parts_of_foreign_modules_are_refused(folder: Path, part: str) -> None:
    change(folder / "model_index.json", **{part: ["evil_part", "X"]})
    with pytest.raises(RedactError, match=rf"{part} is (an? )?X"):
        StableDiffusion(str(folder))
    change(folder / "model_index.json", **{part: ["os", "system"]})
    with pytest.raises(RedactError, match=rf"{part} is (an? )?system"):
        StableDiffusion(str(folder))
    assert not (folder.parent / "marker").exists()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("unet", ["diffusers", "X"]), ("unet", ["diffusers"]), ("unet", ["diffusers", "UNet2DConditionModel", "x"]),
        ("vae", ["diffusers", "UNet2DConditionModel"]), ("scheduler", ["diffusers", "system"]),
        ("unet", [["diffusers"], "UNet2DConditionModel"]), ("unet", [None, "UNet2DConditionModel"]),
        ("scheduler", ["diffusers.schedulers", "DDIMScheduler"]), ("unet", ["diffusers", "UNet2DConditionModel\n"]),
    ],
)  # fmt: skip
def test_parts_of_other_classes_are_refused(folder: Path, part: str, value: object) -> None:
    change(folder / "model_index.json", **{part: value})
    with pytest.raises(RedactError, match=rf"(?s){part} is .* code of models is not run"):
        StableDiffusion(str(folder))


def test_a_pipeline_of_the_folders_own_is_refused(folder: Path) -> None:
    (folder / "pipeline.py").write_text(f"open({str(folder.parent / 'marker')!r}, 'w')\n")
    for name in (["pipeline", "Mine"], "Mine", {"a": 1}, None):
        change(folder / "model_index.json", _class_name=name)
        with pytest.raises(RedactError, match="this adapter takes StableDiffusionPipeline"):
            StableDiffusion(str(folder))
    (folder / "model_index.json").write_text("[]")
    with pytest.raises(RedactError, match="no diffusers folder"):
        StableDiffusion(str(folder))
    assert not (folder.parent / "marker").exists()


def test_a_file_that_stands_in_for_a_library_is_refused(folder: Path) -> None:
    (folder / "unet" / "diffusers.py").write_text(f"open({str(folder.parent / 'marker')!r}, 'w')\n")
    with pytest.raises(RedactError, match=r"unet/diffusers\.py would be run in place of diffusers"):
        StableDiffusion(str(folder))
    assert not (folder.parent / "marker").exists()


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        (
            "text_encoder/config.json",
            {"auto_map": {"AutoModel": "evil_part.X"}},
            "auto_map would have code loaded",
        ),
        (
            "tokenizer/tokenizer_config.json",
            {"auto_map": {"AutoTokenizer": ["evil_part.X", None]}},
            "auto_map",
        ),
        ("unet/config.json", {"deep": [{"auto_map": "evil_part.X"}]}, "auto_map"),
        ("unet/config.json", {"trust_remote_code": True}, "trust_remote_code"),
        (
            "text_encoder/config.json",
            {"custom_pipelines": {"a": {"impl": "evil_part.X"}}},
            "custom_pipelines",
        ),
        (
            "text_encoder/config.json",
            {"attn_implementation": "owner/kernel"},
            "names owner/kernel, code of the hub",
        ),
        (
            "text_encoder/config.json",
            {"_attn_implementation_internal": "owner/kernel@v1:f"},
            "code of the hub",
        ),
        ("text_encoder/config.json", {"experts_implementation": {"": "owner/kernel"}}, "code of the hub"),
    ],
)
def test_json_that_has_a_library_run_code_is_refused(
    folder: Path, file: str, values: Any, message: str
) -> None:
    change(folder / file, **values)
    with pytest.raises(RedactError, match=message):
        StableDiffusion(str(folder))
    assert not (folder.parent / "marker").exists()


def test_plain_settings_of_the_same_names_pass(folder: Path) -> None:
    change(
        folder / "text_encoder" / "config.json",
        attn_implementation="eager",
        auto_map={},
        trust_remote_code=False,
    )
    (folder / "words.json").write_text(
        json.dumps({"auto_map": 17, "trust_remote_code": 18})
    )  # of a vocabulary
    assert StableDiffusion(str(folder)).encoder is not None


def test_a_speech_model_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    tts, encoder = tiny_speecht5(tmp_path / "tts"), tiny_encoder(tmp_path / "encoder")
    vocoder = Path(shutil.copytree(tts, tmp_path / "vocoder"))
    change(vocoder / "config.json", auto_map={"AutoModel": "x.Y"})
    with pytest.raises(RedactError, match=r"vocoder/config\.json: auto_map"):
        SpeechT5(str(tts), str(encoder), vocoder=str(vocoder))
    with pytest.raises(RedactError, match=r"vocoder/config\.json: auto_map"):
        SpeechT5(str(tts), str(encoder)).reopen(vocoder)


def test_links_may_not_lead_out_of_any_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    link = folder / "unet" / "more"
    for target in (tmp_path / "secret", Path("../../secret"), Path("/"), Path("more")):
        link.symlink_to(target)
        for find in (locate, lambda source: locate_here(source, {}, "a folder")):
            with pytest.raises(RedactError, match=r"more is a link that leads out of the folder, to"):
                find(str(folder))
        link.unlink()
    link.symlink_to("config.json")
    alias = tmp_path / "alias"
    alias.symlink_to(folder)  # the person who calls has named this one
    assert locate(str(alias)) == alias
    check_folder(folder)


def test_pickled_weights_of_the_denoiser_are_not_read(folder: Path) -> None:
    class Marks:
        def __reduce__(self) -> object:
            return Path.touch, (folder.parent / "marker",)

    for path in (folder / "unet").glob("*.safetensors"):
        path.unlink()
    torch.save({"weight": Marks()}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(RedactError, match=r"diffusion_pytorch_model\.bin is a pickled weight file"):
        StableDiffusion(str(folder))
    assert not (folder.parent / "marker").exists()
