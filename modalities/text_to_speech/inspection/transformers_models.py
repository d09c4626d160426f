"""Voices in the models of transformers, by ``config.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modalities.headers import config
from modalities.text_to_speech.inspection.kinds import encoder, files, given, in_context, table, weights
from redact_core.adapters.condition_paths import ConditionPath, Inspection

_Paths = list[ConditionPath | None]
_TABLE = "VoiceTable"
_ENCODERS = ("WavLMForXVector", "Wav2Vec2ForXVector", "UniSpeechSatForXVector")
_Read = Callable[[Path, Mapping[str, Any]], _Paths]


def inspect(folder: Path) -> Inspection | None:
    """The paths of a folder that ``from_pretrained`` of transformers reads; ``None`` where its class is not known here.

    Raises:
        RedactError: The configuration or the header of a weight file cannot be read.
    """
    if not (folder / "config.json").is_file():
        return None
    values = config(folder / "config.json")
    kind = str(values.get("model_type"))
    named = values.get("architectures")
    if isinstance(named, list) and named and named[0] in _ENCODERS:
        outside = given("speaker embeddings", "vectors from the caller")
        held = encoder(
            "weights: embeddings", f"vector of width {values.get('xvector_output_dim')}", "SpeakerEncoder"
        )
        return Inspection(str(folder), named[0], "SpeakerEncoder", (held, outside))
    if kind not in _MODELS:
        return None
    adapter, read = _MODELS[kind]
    paths = tuple(path for path in read(folder, values) if path is not None)
    # a class with one voice, or without its table, has nothing that an adapter takes
    adapter = adapter if any(path.covered_by for path in paths) else None
    architecture = values.get("architectures")
    family = str(architecture[0]) if isinstance(architecture, list) and architecture else kind
    remarks = () if paths else (f"{family} speaks in one voice: no condition names a speaker.",)
    return Inspection(str(folder), family, adapter, paths, remarks)


def _vits(folder: Path, values: Mapping[str, Any]) -> _Paths:
    if int(values.get("num_speakers") or 1) < 2:
        return []
    found = weights(folder)
    if found is not None and "embed_speaker.weight" in found.shapes:
        rows, width = found.shapes["embed_speaker.weight"]
        return [table("weights: embed_speaker", rows, width, "SpeakerTable")]
    sizes = values.get("num_speakers"), values.get("speaker_embedding_size")
    return [table("weights: embed_speaker", *sizes, "SpeakerTable" if found is None else None)]


def _speecht5(folder: Path, values: Mapping[str, Any]) -> _Paths:
    width = values.get("speaker_embedding_dim", 512)
    return [
        encoder(
            "encoder", f"outside of this folder: a SpeechBrain encoder of width {width}, named by --model.adapter.encoder",
            "SpeechT5",
        ),
        given("speaker_embeddings", f"a vector of width {width} from the caller"),
    ]  # fmt: skip


def _fastspeech2(folder: Path, values: Mapping[str, Any]) -> _Paths:
    inner = values.get("model_config") if isinstance(values.get("model_config"), dict) else values
    assert isinstance(inner, Mapping)
    paths: _Paths = []
    if int(inner.get("num_speakers") or 0) > 1:
        paths.append(
            table("weights: speaker_id_embedding", inner["num_speakers"], inner.get("hidden_size"), _TABLE)
        )
    if inner.get("speaker_embed_dim"):
        paths.append(
            given("speaker_embedding", f"a vector of width {inner['speaker_embed_dim']} from the caller")
        )
    return paths


def _seamless(folder: Path, values: Mapping[str, Any]) -> _Paths:
    return [
        table("weights: vocoder.speaker_embedding", values.get("vocoder_num_spkrs", 200), values.get("spkr_embed_dim", 256), _TABLE)
    ]  # fmt: skip


def _bark(folder: Path, values: Mapping[str, Any]) -> _Paths:
    stored = files(folder, "speaker_embeddings", "**/*.npy", "arrays of voice presets", _TABLE)
    return [stored, in_context("voice_preset", "arrays of history tokens, stored or from the caller")]


def _qwen2_omni(folder: Path, values: Mapping[str, Any]) -> _Paths:
    return [
        files(folder, "", "spk_dict.pt", "dictionary of named voices (a pickle, not read)", _TABLE),
        encoder("weights: token2wav.spk_encoder", "ECAPA_TimeDelayNet of the reference spectrogram"),
    ]


def _named_tokens(folder: Path, values: Mapping[str, Any]) -> _Paths:
    talker = values.get("talker_config")
    talker = talker if isinstance(talker, dict) else values
    named = talker.get("speaker_id") or talker.get("spk_id") or {}
    paths: _Paths = []
    if named:
        paths.append(table("config.json: speaker names", len(named), None, None))
    if values.get("speaker_encoder_config"):
        paths.append(encoder("weights: speaker_encoder", "ECAPA of a reference clip"))
        paths.append(
            in_context("reference codes", "codes of the reference clip, where it is read in context")
        )
    return paths


def _in_context(what: str) -> _Read:
    return lambda folder, values: [in_context("reference audio", what)]


def _pocket(folder: Path, values: Mapping[str, Any]) -> _Paths:
    return [
        files(folder, "voices", "*", "stored voices"),
        in_context("audio_prompt_latents", "latents of the reference clip, stored or from the caller"),
    ]


_MODELS: Mapping[str, tuple[str | None, _Read]] = {
    "vits": ("SpeakerTable", _vits),
    "speecht5": ("SpeechT5", _speecht5),
    "fastspeech2_conformer": (_TABLE, _fastspeech2),
    "fastspeech2_conformer_with_hifigan": (_TABLE, _fastspeech2),
    "seamless_m4t": (_TABLE, _seamless),
    "seamless_m4t_v2": (_TABLE, _seamless),
    "bark": (_TABLE, _bark),
    "qwen2_5_omni": (_TABLE, _qwen2_omni),
    "qwen3_omni_moe": (None, _named_tokens),
    "qwen3_tts": (None, _named_tokens),
    "csm": (None, _in_context("codes of the conversation so far; speakers are numbers in the text")),
    "dia": (None, _in_context("codes of the reference clip before the text's")),
    "vibevoice": (None, _in_context("latents of the reference clip before the text's")),
    "higgs_audio_v2": (None, _in_context("codes of the reference clip before the text's")),
    "pocket_tts": (None, _pocket),
    "gradium_phonon_tts": (None, _pocket),
}
"""``model_type`` -> the adapter, and what its configuration says of voices."""
