"""Voices in models outside of transformers, by the files that their folders hold. Nothing but JSON and headers is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modalities.headers import config, header
from modalities.json_files import read_json
from modalities.text_to_speech.inspection.kinds import (
    BESIDE,
    STORED,
    encoder,
    files,
    given,
    in_context,
    table,
)
from redact_core.adapters.condition_paths import ConditionPath, Inspection

_CLASS = re.compile(r"embedding_model:\s*!new:([\w.]+)")
_YAML = 200_000
_PACKS, _TABLE, _ENCODER = "KokoroVoices", "VoiceTable", "SpeakerEncoder"


def inspect(folder: Path) -> Inspection | None:
    """The paths of a folder of one of these models; ``None`` where it is none of them.

    Raises:
        RedactError: A configuration or a header cannot be read.
    """
    for read in _MODELS:
        found = read(folder)
        if found is not None:
            return found
    return None


def _found(
    folder: Path, family: str, paths: Sequence[ConditionPath | None], adapter: str | None = None
) -> Inspection:
    return Inspection(str(folder), family, adapter, tuple(path for path in paths if path is not None))


def _speechbrain(folder: Path) -> Inspection | None:
    settings = folder / "hyperparams.yaml"
    if not settings.is_file():
        return None
    with settings.open(
        encoding="utf-8", errors="replace"
    ) as file:  # the tags of YAML would run code: a text is read
        named = _CLASS.search(file.read(_YAML))
    what = named[1].rpartition(".")[2] if named else "of a class that the file does not name"
    gates = len(list(folder.glob("voice_gate_*.ckpt")))
    place = (
        "hyperparams.yaml: embedding_model" if gates else "embedding_model.ckpt"
    )  # what names the gates has changed
    what += f", gates behind it: {gates}" if gates else ""
    return _found(
        folder,
        "SpeechBrain encoder",
        [
            encoder(place, what, "SpeakerEncoder"),
            given("speaker embeddings", "vectors from the caller"),
        ],
        "SpeakerEncoder",
    )


def _piper(folder: Path) -> Inspection | None:
    settings = next(iter(sorted(folder.glob("*.onnx.json"))), None)
    if settings is None:
        return None
    values = config(settings)
    speakers = values.get("num_speakers", 1)
    if not isinstance(speakers, int) or speakers < 2:
        return Inspection(
            str(folder), "Piper voice", None, (), ("It speaks in one voice: no condition names a speaker.",)
        )
    names = values.get("speaker_id_map")
    named = len(names) if isinstance(names, dict) else 0
    return _found(
        folder,
        "Piper voice",
        [table(f"{settings.stem}: emb_g.weight", f"{named} names, {speakers}", None, _TABLE)],
        _TABLE,
    )


def _coqui(folder: Path) -> Inspection | None:
    values = read_json(folder / "config.json")
    kind = str(values.get("model")) if isinstance(values, dict) else None
    if kind == "xtts":
        by = _ENCODER if (folder / "model.pth").is_file() else None
        return _found(
            folder,
            "XTTS",
            [
                encoder(
                    "model.pth: gpt.conditioning_encoder, gpt.conditioning_perceiver",
                    "latents of the reference clip for the language model (path 1 of 2)",
                    by,
                ),
                encoder(
                    "model.pth: hifigan_decoder.speaker_encoder",
                    "vector of width 512 for the vocoder (path 2 of 2)",
                    by,
                ),
                files(
                    folder,
                    "",
                    "speakers_xtts.pth",
                    "dictionary of stored voices (a pickle, not read)",
                    _TABLE,
                ),
                given("gpt_cond_latent, speaker_embedding", "both from the caller"),
            ],
            by or (_TABLE if (folder / "speakers_xtts.pth").is_file() else None),
        )
    if kind in {"vits", "your_tts"}:
        args: Any = values.get("model_args") if isinstance(values, dict) else None
        args = args if isinstance(args, dict) else {}
        paths: list[ConditionPath | None] = []
        if args.get("use_speaker_embedding"):
            paths.append(
                table("emb_g", args.get("num_speakers"), args.get("speaker_embedding_channels", 256), None)
            )
        if args.get("use_d_vector_file"):
            paths.append(encoder("speaker_manager.encoder", f"vector of width {args.get('d_vector_dim')}"))
            paths.append(files(folder, "", "speakers.*", "files of stored vectors"))
        return _found(folder, f"Coqui {kind}", paths)
    return None


def _kokoro(folder: Path) -> Inspection | None:
    weights = [*folder.glob("kokoro*.pth"), *folder.glob("kokoro*.onnx"), *folder.glob("model*.onnx")]
    values = read_json(folder / "config.json")
    known = isinstance(values, dict) and "istftnet" in values
    archives = [p.name for kind in ("npz", "bin") for p in sorted(folder.glob(f"voices*.{kind}"))]
    stored = [
        *(files(folder, "voices", f"*.{kind}", f"voice packs ({kind})", _PACKS) for kind in ("pt", "bin", "npz")),
        *(ConditionPath(name, "voice files", "archive of voice packs", _PACKS, advice=STORED) for name in archives),
    ]  # fmt: skip
    if not known and not (weights and any(stored)):
        return None
    return _found(
        folder,
        "Kokoro",
        [*stored, given("ref_s", "a style vector from the caller; names with commas are averaged")],
        _PACKS if any(stored) else None,
    )


def _suno(folder: Path) -> Inspection | None:
    place = next(
        (name for name in ("bark/assets/prompts", "assets/prompts") if (folder / name).is_dir()), None
    )
    stored = place and files(folder, place, "**/*.npz", "voice presets", _TABLE)
    if not stored:
        return None
    given_too = in_context("history_prompt", "codes of a recording, stored or from the caller")
    return _found(folder, "Bark of Suno", [stored, given_too], _TABLE)


def _chatterbox(folder: Path) -> Inspection | None:
    if not (folder / "s3gen.safetensors").is_file() or not (folder / "ve.safetensors").is_file():
        return None
    return _found(
        folder,
        "Chatterbox",
        [
            encoder(
                "ve.safetensors",
                f"VoiceEncoder, vector of width 256 for the language model (path 1 of 2), {header([folder / 've.safetensors']).said()}",
                _ENCODER,
            ),
            encoder("s3gen.safetensors: speaker_encoder", "CAMPPlus, vector of width 192 for the decoder (path 2 of 2)", _ENCODER),
            in_context("reference tokens and spectrogram", "speech tokens and spectrogram of the clip, beside both vectors", BESIDE),
            files(folder, "", "conds.pt", "stored voice (a pickle, not read)"),
        ],
        _ENCODER,
    )  # fmt: skip


def _cosyvoice(folder: Path) -> Inspection | None:
    if not (folder / "campplus.onnx").is_file():
        return None
    return _found(
        folder,
        "CosyVoice",
        [
            encoder("campplus.onnx", "vector of width 192, an ONNX graph", "SpeakerEncoder"),
            in_context(
                "prompt tokens and spectrogram",
                "of the reference clip, where a voice is cloned from one",
                BESIDE,
            ),
            files(folder, "", "spk2info.pt", "dictionary of stored voices (a pickle, not read)", _TABLE),
        ],
        "SpeakerEncoder",
    )


def _openvoice(folder: Path) -> Inspection | None:
    values = read_json(folder / "config.json")
    model = values.get("model") if isinstance(values, dict) else None
    if not isinstance(model, dict) or "gin_channels" not in model or "zero_g" not in model:
        return None
    return _found(
        folder,
        "OpenVoice tone colour converter",
        [
            encoder(
                "checkpoint.pth: ref_enc",
                f"ReferenceEncoder, vector of width {model['gin_channels']}",
                "SpeakerEncoder",
            ),
            files(folder, "", "**/*se.pth", "stored voices (pickles, not read)"),
            given("src_se, tgt_se", "vectors from the caller"),
        ],
        "SpeakerEncoder",
    )


def _styletts2(folder: Path) -> Inspection | None:
    settings = next((p for p in (folder / "config.yml", folder / "config.yaml") if p.is_file()), None)
    if settings is None:
        return None
    with settings.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_YAML)
    if "style_dim" not in text or "multispeaker" not in text:
        return None
    checkpoint = next(iter(sorted(folder.glob("epochs_*.pth"))), None)
    by = _ENCODER if checkpoint else None
    place = f"{checkpoint.name}: " if checkpoint else ""
    return _found(
        folder,
        "StyleTTS2",
        [
            encoder(f"{place}style_encoder", "acoustic style of the reference clip (path 1 of 2)", by),
            encoder(f"{place}predictor_encoder", "prosodic style of the reference clip (path 2 of 2)", by),
            given("ref_s", "both styles from the caller, or drawn by the style diffusion"),
        ],
        by,
    )


def _f5(folder: Path) -> Inspection | None:
    for path in sorted(folder.glob("*.safetensors")):
        names = header([path]).shapes
        if any(".transformer.input_embed." in name for name in names) and any(
            "text_embed" in name for name in names
        ):
            return _found(folder, "F5-TTS", [in_context("reference audio", "spectrogram of the clip, whose continuation is drawn")])  # fmt: skip
    return None


_MODELS: tuple[Callable[[Path], Inspection | None], ...] = (
    _speechbrain, _piper, _coqui, _chatterbox, _cosyvoice, _openvoice, _kokoro, _suno, _styletts2, _f5,
)  # fmt: skip
