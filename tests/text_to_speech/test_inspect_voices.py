"""``redact inspect`` on models of speech: tables, stored voices, encoders, and models without any encoder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from modalities.inspecting import inspect
from redact_core import RedactError


def folder(place: Path, name: str = "config.json", **values: Any) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(json.dumps(values), encoding="utf-8")
    return place


def tensors(path: Path, *names: str) -> None:
    save_file({name: np.zeros((3, 4), np.float32) for name in names}, path)


def test_a_table_is_covered_where_an_adapter_reads_it(tmp_path: Path) -> None:
    vits = folder(tmp_path / "vits", model_type="vits", architectures=["VitsModel"], num_speakers=3)
    tensors(vits / "model.safetensors", "embed_speaker.weight")
    found = inspect(str(vits))
    assert (found.adapter, found.paths[0].what) == ("SpeakerTable", "3 rows of width 4")
    single = inspect(str(folder(tmp_path / "mms", model_type="vits", num_speakers=1)))
    assert (single.adapter, single.paths) == (None, ())
    assert single.remarks == ("vits speaks in one voice: no condition names a speaker.",)


def test_the_bundled_voice_models_are_covered() -> None:
    bundled = Path(__file__).parents[2] / "modalities" / "text_to_speech" / "bundled"
    assert inspect(str(bundled / "tts")).adapter == "SpeechT5"
    assert inspect(str(bundled / "encoder")).paths[0].what == "ECAPA_TDNN"


@pytest.mark.parametrize("kind", ["csm", "dia", "vibevoice", "higgs_audio_v2"])
def test_a_model_that_reads_the_clip_itself_has_no_encoder(tmp_path: Path, kind: str) -> None:
    found = inspect(str(folder(tmp_path / kind, model_type=kind)))
    assert found.adapter is None
    assert [path.kind for path in found.paths] == ["in-context audio"]
    assert found.paths[0].advice.startswith("There is no encoder that could be redacted")
    assert "VoiceFilter" in found.paths[0].advice


def test_f5_is_known_by_its_tensors(tmp_path: Path) -> None:
    names = [
        "ema_model.transformer.text_embed.text_embed.weight",
        "ema_model.transformer.input_embed.proj.weight",
    ]
    tensors(tmp_path / "model_1250000.safetensors", *names)
    found = inspect(str(tmp_path))
    assert (found.family, found.paths[0].kind) == ("F5-TTS", "in-context audio")


def test_every_parallel_path_of_a_cloner_is_listed(tmp_path: Path) -> None:
    xtts = folder(tmp_path / "xtts", model="xtts")
    (xtts / "speakers_xtts.pth").write_bytes(b"no pickle is opened")
    assert inspect(str(xtts)).adapter == "VoiceTable"  # without the model only its stored voices
    (xtts / "model.pth").write_bytes(b"no pickle is opened")
    assert inspect(str(xtts)).adapter == "SpeakerEncoder"
    assert [path.covered_by for path in inspect(str(xtts)).paths] == [
        "SpeakerEncoder", "SpeakerEncoder", "VoiceTable", None,
    ]  # fmt: skip
    assert [path.kind for path in inspect(str(xtts)).paths] == [
        "speaker encoder", "speaker encoder", "voice files", "embeddings",
    ]  # fmt: skip
    chatterbox = tmp_path / "chatterbox"
    chatterbox.mkdir()
    tensors(chatterbox / "ve.safetensors", "lstm.weight_ih_l0")
    tensors(chatterbox / "s3gen.safetensors", "flow.x")
    found = inspect(str(chatterbox))
    assert [path.kind for path in found.paths] == ["speaker encoder", "speaker encoder", "in-context audio"]
    assert [path.covered_by for path in found.paths] == ["SpeakerEncoder", "SpeakerEncoder", None]
    assert found.paths[2].advice.startswith("It goes past every encoder")
    cosy = tmp_path / "cosy"
    cosy.mkdir()
    (cosy / "campplus.onnx").write_bytes(b"")
    assert inspect(str(cosy)).family == "CosyVoice"
    style = tmp_path / "style"
    style.mkdir()
    (style / "config.yml").write_text("model_params:\n  multispeaker: true\n  style_dim: 128\n")
    assert [path.name for path in inspect(str(style)).paths][:2] == ["style_encoder", "predictor_encoder"]
    (style / "epochs_2nd_00020.pth").write_bytes(b"no pickle is opened")
    assert [(path.name, path.covered_by) for path in inspect(str(style)).paths][:2] == [
        ("epochs_2nd_00020.pth: style_encoder", "SpeakerEncoder"),
        ("epochs_2nd_00020.pth: predictor_encoder", "SpeakerEncoder"),
    ]
    opened = folder(tmp_path / "open", model={"gin_channels": 256, "zero_g": True})
    assert inspect(str(opened)).paths[0].what == "ReferenceEncoder, vector of width 256"


def test_stored_voices_and_names_are_counted(tmp_path: Path) -> None:
    kokoro = folder(tmp_path / "kokoro", istftnet={})
    (kokoro / "voices").mkdir()
    for name in ("af_heart.pt", "am_adam.pt"):
        (kokoro / "voices" / name).write_bytes(b"")
    assert inspect(str(kokoro)).paths[0].what == "2 voice packs (pt)"
    piper = folder(tmp_path / "piper", "en.onnx.json", num_speakers=3, speaker_id_map={"a": 0, "b": 1})
    assert inspect(str(piper)).paths[0].what == "2 names, 3 rows"
    omni = folder(
        tmp_path / "omni", model_type="qwen3_omni_moe", talker_config={"speaker_id": {"chelsie": 1}}
    )
    assert inspect(str(omni)).paths[0].what == "1 rows"
    fast = folder(tmp_path / "fast", model_type="fastspeech2_conformer", num_speakers=4, hidden_size=8, speaker_embed_dim=6)  # fmt: skip
    assert [path.kind for path in inspect(str(fast)).paths] == ["speaker table", "embeddings"]


def test_a_folder_that_would_run_code_is_refused(tmp_path: Path) -> None:
    odd = folder(tmp_path / "odd", model_type="csm", auto_map={"AutoModel": "x.y"})
    with pytest.raises(RedactError, match="code of models is not run"):
        inspect(str(odd))


@pytest.mark.parametrize("odd", ["many", {"a": 1}, [3]])
def test_values_of_another_kind_are_one_line(tmp_path: Path, odd: object) -> None:
    with pytest.raises(RedactError, match="holds a value of a kind that no such model has") as caught:
        inspect(str(folder(tmp_path / "vits", model_type="vits", num_speakers=odd)))
    assert "\n" not in str(caught.value)
