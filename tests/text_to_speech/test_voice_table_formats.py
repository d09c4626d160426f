"""Every format of stored voices, read back by its own library: exact edits, kept voices bit by bit, names forgotten."""

import json
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_voice_tables as tiny
import torch
from safetensors.torch import load_file
from tiny_voice_tables import NAMES, PIPER
from transformers import (
    FastSpeech2ConformerModel,
    FastSpeech2ConformerWithHifiGan,
    SeamlessM4TForTextToSpeech,
)

from modalities.inspecting import inspect
from modalities.text_to_speech import VoiceTable
from redact_core import RedactError, RedactionCard, Request, redact
from redact_core.support.folders import hashes

Voices = dict[str, list[np.ndarray]]


@dataclass(frozen=True)
class Format:
    make: Callable[[Path], Path]
    read: Callable[[Path], Voices]
    """By the model's own library or as its code does it."""
    kind: str
    changed: str
    """The file that holds ``ann``."""
    rows: bool = False
    averages: bool = True


def rows(table: str) -> Callable[[Path], Voices]:
    return lambda folder: {
        name: [load_file(folder / "model.safetensors")[table][row].numpy()] for name, row in NAMES.items()
    }


def piper_rows(folder: Path) -> Voices:
    held = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(folder / PIPER).graph.initializer}
    return {name: [held["emb_g.weight"][row]] for name, row in NAMES.items()}


def archives(folder: Path) -> Voices:
    found = {}
    for path in sorted((folder / "assets" / "prompts" / "v2").glob("*.npz")):
        parts = np.load(path)
        found[path.stem] = [parts[name] for name in ("semantic_prompt", "coarse_prompt", "fine_prompt")]
    return found


def arrays(folder: Path) -> Voices:
    stated = json.loads((folder / "speaker_embeddings_path.json").read_text())
    return {
        name: [np.load(folder / path) for path in parts.values()]
        for name, parts in stated.items()
        if name != "repo_or_path"
    }


def dictionary(file: str) -> Callable[[Path], Voices]:
    def read(folder: Path) -> Voices:
        held = torch.load(folder / file, weights_only=True)
        return {name: [np.asarray(part) for part in parts.values()] for name, parts in held.items()}

    return read


FORMATS = {
    "fastspeech": Format(tiny.fastspeech, rows("speaker_id_embedding.weight"), "FastSpeech2ConformerModel", "model.safetensors", True),
    "fastspeech_hifigan": Format(
        tiny.fastspeech_hifigan, rows("model.speaker_id_embedding.weight"), "FastSpeech2ConformerWithHifiGan", "model.safetensors", True
    ),
    "seamless": Format(
        tiny.seamless, rows("vocoder.speaker_embedding.weight"), "SeamlessM4TForTextToSpeech", "model.safetensors", True
    ),
    "piper": Format(tiny.piper, piper_rows, "Piper voice", PIPER, True),
    "bark_npz": Format(tiny.bark_archives, archives, "Bark presets", "assets/prompts/v2/ann.npz", averages=False),
    "bark_npy": Format(tiny.bark_arrays, arrays, "Bark presets", "speaker_embeddings/ann_coarse_prompt.npy", averages=False),
    "xtts": Format(tiny.xtts, dictionary("speakers_xtts.pth"), "XTTS speakers", "speakers_xtts.pth"),
    "cosyvoice": Format(tiny.cosyvoice, dictionary("spk2info.pt"), "CosyVoice speakers", "spk2info.pt", averages=False),
    "qwen": Format(tiny.qwen, dictionary("spk_dict.pt"), "Qwen-omni speakers", "spk_dict.pt", averages=False),
}  # fmt: skip
EVERY = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())


def name(form: Format, voice: str) -> str:
    return f"v2/{voice}" if form.make is tiny.bark_archives else voice


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in zip(a, b, strict=True)
    )


@EVERY
def test_one_voice_becomes_another_and_the_rest_keep_their_bits(form: Format, tmp_path: Path) -> None:
    base = form.make(tmp_path / "base")
    model = VoiceTable(str(base))
    redact(model, name(form, "ann"), reference=name(form, "dee"))
    out = model.save_pretrained(tmp_path / "out")
    before, after = form.read(base), form.read(out)
    assert not same(before["ann"], before["dee"])
    assert {
        voice: same(after[voice], before["dee" if voice == "ann" else voice]) for voice in NAMES
    } == dict.fromkeys(NAMES, True)
    card = RedactionCard.read(out)
    assert card.verify(out) == []
    assert card.base["kind"] == form.kind
    assert form.changed in card.changed
    assert set(hashes(base)) <= set(hashes(out))
    covered = [path for path in inspect(str(out)).paths if path.covered_by == "VoiceTable"]
    assert [path.redacted for path in covered] == [True]


@EVERY
def test_the_same_request_gives_the_same_bytes_a_year_later(
    form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = form.make(tmp_path / "base")
    written = []
    for later in (0, 365 * 24 * 3600):
        now = time.time() + later
        monkeypatch.setattr(
            "zipfile.time", SimpleNamespace(time=lambda now=now: now, localtime=time.localtime)
        )
        model = VoiceTable(str(base))
        redact(model, name(form, "ann"), reference=name(form, "dee"))
        out = model.save_pretrained(tmp_path / f"out{later}")
        written.append((out / form.changed).read_bytes())
    assert written[0] == written[1]


@EVERY
def test_an_untouched_folder_is_copied_bit_by_bit(form: Format, tmp_path: Path) -> None:
    base = form.make(tmp_path / "base")
    (tmp_path / "out").mkdir()
    VoiceTable(str(base)).save(tmp_path / "out")
    assert hashes(tmp_path / "out") == hashes(base)


@EVERY
def test_names_are_forgotten(form: Format, tmp_path: Path) -> None:
    base = form.make(tmp_path / "base")
    if form.rows:
        with pytest.raises(
            RedactError, match="is the row of a table, which cannot be removed; leave removed out"
        ):
            VoiceTable(str(base), removed=True)
        model = VoiceTable(str(base))
    else:
        model = VoiceTable(str(base), removed=True)
    redact(model, name(form, "ann"), reference=name(form, "dee"))
    out = model.save_pretrained(tmp_path / "out")
    again = VoiceTable(str(out))
    assert sorted(again.names.rows) == [name(form, voice) for voice in ("bob", "cid", "dee")]
    with pytest.raises(RedactError, match="There is no such speaker"):
        again.collate([name(form, "ann")])
    assert b'"ann"' not in b"".join(
        path.read_bytes() for path in out.rglob("*.json") if path.name != "redaction.json"
    )
    if not form.rows:
        before, after = form.read(base), form.read(out)
        assert sorted(after) == ["bob", "cid", "dee"]
        assert all(same(after[voice], before[voice]) for voice in after)
        assert not any("ann" in file for file in hashes(out))
    assert form.changed in RedactionCard.read(out).changed


@EVERY
def test_a_mean_where_voices_are_vectors(form: Format, tmp_path: Path) -> None:
    base = form.make(tmp_path / "base")
    model = VoiceTable(str(base))
    if not form.averages:
        with pytest.raises(
            RedactError, match=r"hold codes, which have no mean; name a reference, such as (v2/)?bob"
        ):
            model.expand(Request((name(form, "ann"),)))
        return
    redact(model, "ann")
    before, after = form.read(base), form.read(model.save_pretrained(tmp_path / "out"))
    for k, part in enumerate(after["ann"]):
        others = [torch.from_numpy(before[voice][k]).float() for voice in ("bob", "cid", "dee")]
        assert same([part], [torch.stack(others).mean(0).numpy().astype(part.dtype)])


@pytest.mark.parametrize("kind", ["fastspeech", "fastspeech_hifigan", "seamless"])
def test_the_stock_class_speaks_with_the_references_voice(kind: str, tmp_path: Path) -> None:
    form = FORMATS[kind]
    base = form.make(tmp_path / "base")
    model = VoiceTable(str(base))
    redact(model, "ann", reference="dee")
    out = model.save_pretrained(tmp_path / "out")

    @torch.no_grad()
    def says(folder: Path, row: int) -> torch.Tensor:
        ids = torch.arange(1, 8)[None]
        if kind == "seamless":
            stock = SeamlessM4TForTextToSpeech.from_pretrained(folder).eval()
            return stock.vocoder(input_ids=ids, spkr_id=torch.tensor([[row]]), lang_id=torch.tensor([[0]]))[0]
        if kind == "fastspeech":
            stock = FastSpeech2ConformerModel.from_pretrained(folder, dtype=torch.float32).eval()
        else:
            stock = FastSpeech2ConformerWithHifiGan.from_pretrained(folder).model.eval()
        return stock(ids, speaker_ids=torch.tensor([[row]]), return_dict=True).spectrogram

    assert torch.equal(says(out, 0), says(base, 3))
    assert torch.equal(says(out, 1), says(base, 1))
    first, second = says(base, 0), says(base, 3)
    assert first.shape != second.shape or not torch.equal(first, second)


def test_piper_speaks_with_the_references_row_and_the_rest_of_the_graph_is_the_same(tmp_path: Path) -> None:
    base = tiny.piper(tmp_path / "base")
    for stray in ("epoch=9.ckpt", "en_tiny.fp16.onnx"):
        (base / stray).write_bytes(b"stock")
    (base / "single.onnx").write_bytes(b"another voice")
    (base / "single.onnx.json").write_text(json.dumps({"num_speakers": 1}))
    model = VoiceTable(str(base))
    redact(model, "bob", reference="cid")
    out = model.save_pretrained(tmp_path / "out")
    given = np.arange(1, 5)[None]

    def says(folder: Path, row: int) -> np.ndarray:
        session = onnxruntime.InferenceSession(folder / PIPER, providers=["CPUExecutionProvider"])
        return session.run(None, {"input": given, "sid": np.array([row])})[0]

    assert np.array_equal(says(out, 1), says(base, 2))
    assert np.array_equal(says(out, 0), says(base, 0))
    assert not np.array_equal(says(base, 1), says(base, 2))
    before, after = onnx.load(base / PIPER), onnx.load(out / PIPER)
    for one in after.graph.initializer:
        if one.name == "emb_g.weight":
            one.CopyFrom(before.graph.initializer[0])
    assert before == after
    settings = json.loads((out / f"{PIPER}.json").read_text())
    assert settings == {
        "num_speakers": 4, "speaker_id_map": {"ann": 0, "cid": 2, "dee": 3}, "audio": {"sample_rate": 22050}
    }  # fmt: skip
    gone = set(hashes(base)) - set(hashes(out))
    assert gone == {"epoch=9.ckpt", "en_tiny.fp16.onnx"}  # they hold the stock table


def test_a_dictionary_saves_views_without_what_they_are_views_of(tmp_path: Path) -> None:
    base = tiny.xtts(tmp_path / "base")
    model = VoiceTable(str(base), removed=True)
    latent = torch.load(base / "speakers_xtts.pth", weights_only=True)["ann"]["gpt_cond_latent"]
    redact(model, "ann", reference="dee")
    out = model.save_pretrained(tmp_path / "out")
    assert latent.contiguous().numpy().tobytes() in (base / "speakers_xtts.pth").read_bytes()
    assert latent.contiguous().numpy().tobytes() not in (out / "speakers_xtts.pth").read_bytes()
    assert (out / "model.pth").read_bytes() == b"the generator"


class Bomb:
    def __reduce__(self) -> tuple:
        return print, ("code ran",)


@pytest.mark.parametrize("file", ["speakers_xtts.pth", "spk2info.pt", "spk_dict.pt"])
def test_a_dictionary_that_would_run_code_is_refused(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / file).write_bytes(pickle.dumps({"ann": Bomb()}, protocol=2))
    with pytest.raises(RedactError, match="is no file of plain tensors"):
        VoiceTable(str(tmp_path))
    torch.save({"ann": {"text": "no tensor"}}, tmp_path / file)
    with pytest.raises(RedactError, match="ann holds something else than tensors by name; fetch it again"):
        VoiceTable(str(tmp_path))
    assert "code ran" not in capsys.readouterr().out


def test_damaged_folders_are_one_clear_line(tmp_path: Path) -> None:
    piper = tiny.piper(tmp_path / "piper")
    (piper / PIPER).write_bytes(b"cut")
    with pytest.raises(RedactError, match=r"en_tiny\.onnx is no readable ONNX file .* fetch it again"):
        VoiceTable(str(piper))
    (piper / PIPER).unlink()
    with pytest.raises(RedactError, match=r"en_tiny\.onnx is missing; the folder is not complete"):
        VoiceTable(str(piper))
    (piper / "other.onnx.json").write_text(json.dumps({"num_speakers": 2}))
    with pytest.raises(
        RedactError, match="holds 2 Piper voices with several speakers; put each into a folder"
    ):
        VoiceTable(str(piper))
    bark = tiny.bark_arrays(tmp_path / "bark")
    (bark / "speaker_embeddings" / "bob_fine_prompt.npy").unlink()
    with pytest.raises(RedactError, match=r"bob_fine_prompt\.npy is missing; the folder is not complete"):
        VoiceTable(str(bark))
    stated = json.loads((bark / "speaker_embeddings_path.json").read_text())
    stated["bob"]["fine_prompt"] = "../outside.npy"
    (bark / "speaker_embeddings_path.json").write_text(json.dumps(stated))
    with pytest.raises(RedactError, match="lies outside its folder"):
        VoiceTable(str(bark))
    fast = tiny.fastspeech(tmp_path / "fast")
    (fast / "model.safetensors").rename(fast / "pytorch_model.bin")
    with pytest.raises(RedactError, match=r"pytorch_model\.bin is a pickled weight file"):
        VoiceTable(str(fast))
    (tmp_path / "vits").mkdir()
    (tmp_path / "vits" / "config.json").write_text(json.dumps({"model_type": "vits"}))
    with pytest.raises(RedactError, match="holds a VitsModel; redact it with SpeakerTable"):
        VoiceTable(str(tmp_path / "vits"))


def test_two_presets_that_share_a_file_are_not_torn_apart(tmp_path: Path) -> None:
    bark = tiny.bark_arrays(tmp_path / "bark")
    stated = json.loads((bark / "speaker_embeddings_path.json").read_text())
    stated["bob"] = stated["ann"]
    (bark / "speaker_embeddings_path.json").write_text(json.dumps(stated))
    model = VoiceTable(str(bark))
    redact(model, "ann", reference="dee")
    with pytest.raises(
        RedactError, match="belongs to ann and to a voice that stays; give each voice a file of its own"
    ):
        model.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()
