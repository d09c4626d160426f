"""Measures of speech on made-up voices: by hand, at contract level, and against every saboteur."""

import json
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_speech import tiny_bank, tiny_encoder, voice
from torch import Tensor
from torch.nn.functional import normalize
from torchaudio.models import squim_objective_base
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from modalities.text_to_speech.metrics.base_voice_scorer import BaseVoiceScorer
from modalities.text_to_speech.metrics.faster_whisper_scorer import FasterWhisperScorer
from modalities.text_to_speech.metrics.impostor_scorer import ImpostorScorer
from modalities.text_to_speech.metrics.privacy_scorer import PrivacyScorer, divergence
from modalities.text_to_speech.metrics.prosody_scorer import (
    Contour,
    ProsodyScorer,
    compare,
    contour,
    mel_cepstra,
)
from modalities.text_to_speech.metrics.squim_scorer import SquimScorer
from modalities.text_to_speech.metrics.whisper_scorer import WhisperScorer, plain
from redact_core import Group, PlanRow, RedactError, Trial
from redact_core.evaluation.evidence import BASE
from redact_core.evaluation.set_scoring import figure, halves
from redact_core.evaluation.summarise import findings, summarise
from redact_core.metrics.scorer import checked_scores

VOICES = ("alice", "bob", "carol", "dave")
DIM = 16


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judges")
    tiny_encoder(folder / "verifier")
    return folder


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bank(tmp_path_factory.mktemp("bank") / "voices")


def spoken(name: str, seed: int, spread: float = 0.5) -> Tensor:
    """``(dim,)`` an embedding of a voice; each voice has a direction of its own."""
    noise = torch.randn(DIM, generator=torch.Generator().manual_seed(1000 + seed)) / DIM**0.5
    direction = torch.zeros(DIM)
    if name in VOICES:
        direction[VOICES.index(name)] = 1.0
    return normalize(direction + spread * noise, dim=0)


@pytest.fixture
def impostors(judges: Path, bank: Path) -> ImpostorScorer:
    """With embeddings made up: 8 clips a voice, 20 strangers."""
    scorer = ImpostorScorer(bank, judges)
    scorer.clips = {v: torch.stack([spoken(v, 10 * i + k) for k in range(8)]) for i, v in enumerate(VOICES)}
    scorer.clips |= {f"stranger{i}": spoken("nobody", 100 + i)[None] for i in range(20)}
    return scorer


def answers(mode: str, row: PlanRow, i: int) -> Tensor:
    name, level = row.labels["voice"], 0.5
    if mode == "redacting" and row.redacted:
        name = "a stranger"
    elif mode == "noise":
        name = "noise"
    elif mode in ("deaf", "redacting everything"):
        name = "dave"
    elif mode == "avoiding" and row.redacted:
        return -spoken(name, 500 + i)
    return spoken(name, (300 if mode == "base" or not row.redacted else 500) + i, level)


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("redacting", set()), ("untouched", {"redacted"}), ("avoiding", {"redacted"}),
        ("noise", {"retained"}), ("deaf", {"retained"}), ("redacting everything", {"retained"}),
    ],
)  # fmt: skip
def test_impostors_call_out_saboteurs(impostors: ImpostorScorer, mode: str, wanted: set[str]) -> None:
    said: list[str] = []
    for group, redacted in (("redacted", True), ("retained", False)):
        who = ("alice",) if redacted else ("bob", "carol")
        rows = [PlanRow("x", group, "voice", i, redacted, {"voice": who[i % len(who)]}) for i in range(40)]
        own, base = (torch.stack([answers(m, row, i) for i, row in enumerate(rows)]) for m in (mode, "base"))
        figures = figure(Group(rows, own, base, halves(40)), impostors)
        assert list(figures) == list(impostors.metrics)
        assert figures["stranger floor"]["redacted"] < 0.2 < 0.8 < figures["same-speaker ceiling"]["redacted"]
        assert figures["AUROC against strangers"]["n"] == 40
        summary = [
            {"task": "voice", "group": group, "metric": name, "kind": "set", "model": mode,
             "wanted": impostors.metrics[name].wish(redacted), **row}
            for name, row in figures.items()
        ]  # fmt: skip
        said += findings(summary, impostors.metrics)  # type: ignore[arg-type]
    for measure in ("AUROC", "EER"):
        found = {
            g for g in ("redacted", "retained") for t in said if f"{g}: {measure} against strangers" in t
        }
        # a model that answers as another person does is no stranger's match for retained voices only
        other = {"redacted"} if mode in ("noise", "deaf", "redacting everything") else set[str]()
        assert found - other == wanted, measure


def test_impostors_listen_to_files(judges: Path, bank: Path, tmp_path: Path) -> None:
    scorer = ImpostorScorer(bank, judges)
    (tmp_path / "bad.wav").write_bytes(b"no")
    clip = bank / "alice" / "0.wav"
    vectors = scorer.embed([clip, tmp_path / "bad.wav"])
    assert torch.allclose(vectors[0], scorer.clips["alice"][0], atol=1e-5)
    assert vectors[1].isnan().all()
    rows = [PlanRow("x", "g", "voice", 0, True, {"voice": "zoe"})] * 2
    assert scorer.compare(Group(rows, vectors, vectors, halves(2))) == {}


def test_any_redacted_voice_and_zrf(judges: Path, bank: Path) -> None:
    scorer = PrivacyScorer(bank, judges)
    vectors = {name: spoken(name, i, 0.0) for i, name in enumerate(VOICES)}
    scorer.judge.prototypes = torch.stack([vectors[v] for v in scorer.judge.voices])

    def scores(sample: Tensor, **labels: str) -> dict[str, float]:
        scorer.judge.embed = lambda samples: torch.stack([sample])  # type: ignore[method-assign]
        row = PlanRow("x", "redacted", "voice", 3, True, labels)
        return scorer.score([torch.zeros(1)], [Trial(row, "m", Path("a"), Path("b"))])[0]

    # asked for alice, it sounds like bob, who was redacted too
    both = scores(vectors["bob"], **{"voice": "alice", "redacted voices": "alice|bob"})
    assert both["similarity to any redacted voice"] == 1
    one = scores(vectors["bob"], **{"voice": "alice", "redacted voices": "alice"})
    assert one["similarity to any redacted voice"] == 0
    unknown = scores(vectors["bob"], **{"voice": "alice", "redacted voices": "alice|zoe"})
    assert math.isnan(unknown["similarity to any redacted voice"])
    assert both["spk-ZRF"] == 1  # the random voice is embedded as the sample is
    # p = (1, 0, ...) against q = (0, 1, ...), nearly: one bit; standardised they are less apart
    a, b = torch.tensor([1000.0, 0.0]), torch.tensor([0.0, 1000.0])
    p = 1 / (1 + math.exp(-2))  # softmax of (1, -1)
    entropy = -(p * math.log2(p) + (1 - p) * math.log2(1 - p))
    assert divergence(a, b) == pytest.approx(1 - entropy)
    assert divergence(a, b) == divergence(b, a)


def _trials(tmp_path: Path, mode: str, n: int = 6) -> dict[str, list[Trial]]:
    """Kept voices as files: two pitches that take turns; the saboteurs answer otherwise."""
    rows = [PlanRow("x", "retained", "voice", i, False, {"voice": str(i % 2)}) for i in range(n)]
    paths: dict[str, list[Path]] = {}
    for model in (BASE, mode):
        paths[model] = []
        for i in range(n):
            pitch = (110, 180)[i % 2] if model == BASE or mode == "untouched" else 300
            wave = torch.from_numpy(voice(pitch, 0.5, i))
            if model != BASE and mode == "noise":
                wave = 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(i))
            paths[model].append(tmp_path / f"{model}{i}.wav")
            soundfile.write(paths[model][-1], wave.numpy(), 16_000)
    return {
        m: [Trial(r, m, p, b) for r, p, b in zip(rows, paths[m], paths[BASE], strict=True)] for m in paths
    }


@pytest.mark.parametrize("mode", ["untouched", "noise", "deaf"])
def test_melody_timbre_and_likeness_call_out_saboteurs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judges: Path, mode: str
) -> None:
    trials = _trials(tmp_path, mode)
    prosody, likeness = ProsodyScorer(), BaseVoiceScorer(judges)
    monkeypatch.setattr(likeness.judge, "embed", _pitched)
    metrics = {**prosody.metrics, **likeness.metrics}
    rows = [
        {
            "model": m,
            "index": i,
            "task": "voice",
            "group": "retained",
            "redacted": False,
            "scores": {**a, **b},
        }
        for m in trials
        for i, (a, b) in enumerate(
            zip(checked_scores(prosody, trials[m]), checked_scores(likeness, trials[m]), strict=True)
        )
    ]
    said = findings(summarise(rows, metrics), metrics)
    found = {name for name in metrics if any(f"retained: {name} is" in text for text in said)}
    similar = "similarity to the base's sample"
    wanted = {
        "untouched": set(),
        "noise": {"voicing error", "mel-cepstral distortion", similar},
        "deaf": {"log-F0 error", "mel-cepstral distortion", similar},
    }[mode]
    assert wanted <= found
    # noise has hardly a pitch, and where a stray one is found it is wrong
    assert found - wanted <= (set() if mode == "untouched" else {"log-F0 error", "voicing error"})


def _pitched(samples: list[Tensor]) -> Tensor:
    """A stand-in for the verifier: where the spectrum is highest."""
    rows = []
    for wave in samples:
        spectrum = torch.fft.rfft(wave[:8000]).abs()[:600]
        rows.append(spectrum.view(60, 10).sum(1))
    return normalize(torch.stack(rows), dim=1)


def test_pitch_and_cepstrum_by_hand() -> None:
    low, high = (contour(torch.from_numpy(voice(pitch, 0.8, 1))) for pitch in (120.0, 240.0))
    octave = compare(low, high)
    assert octave["log-F0 error"] == pytest.approx(1200, abs=30)
    assert compare(low, low) == {"log-F0 error": 0, "voicing error": 0, "mel-cepstral distortion": 0}
    # loudness is in coefficient 0, which is left out
    quiet = contour(torch.from_numpy(voice(120.0, 0.8, 1)) / 2)
    assert compare(low, quiet)["mel-cepstral distortion"] < 0.1
    # a ripple over the bands, whose root mean square in dB anyone can compute: 3.07
    flat = torch.full((80, 5), 0.01).double().numpy()
    bands = torch.arange(80).double().numpy() + 0.5
    ripple = flat * np.exp(0.5 * np.cos(np.pi * 4 * bands / 80))[:, None]
    silent = torch.full((5,), math.nan).double().numpy()
    rippled = compare(Contour(mel_cepstra(flat), silent), Contour(mel_cepstra(ripple), silent))
    by_hand = float(np.sqrt(np.mean((20 * np.log10(ripple / flat)) ** 2)))
    assert by_hand == pytest.approx(3.07, abs=0.005)
    assert rippled["mel-cepstral distortion"] == pytest.approx(by_hand)
    # one coefficient apart by 1 everywhere: 10 sqrt(2) / ln 10 dB
    a, b = torch.zeros(24, 5).double().numpy(), torch.zeros(24, 5).double().numpy()
    b[3] = 1
    pitch = torch.full((5,), math.nan).double().numpy()
    found = compare(Contour(a, pitch), Contour(b, pitch))
    assert found["mel-cepstral distortion"] == pytest.approx(10 * math.sqrt(2) / math.log(10))
    assert math.isnan(found["log-F0 error"])
    with pytest.raises(RedactError, match="The sample has 100 values"):
        contour(torch.zeros(100))


def test_a_whisper_folder_transcribes(tmp_path: Path) -> None:
    torch.manual_seed(4)
    words = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        "<|notimestamps|>",
        "<pad>",
        "Ġthe",
        "Ġcat",
        "Ġsat",
        *"abcdefgh",
    ]
    vocabulary = {word: i for i, word in enumerate(words)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], unk_token="<|endoftext|>")
    tokenizer.save_pretrained(tmp_path)
    WhisperFeatureExtractor(feature_size=8, chunk_length=2).save_pretrained(tmp_path)
    config = WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=8, encoder_layers=1, encoder_attention_heads=2, decoder_layers=1,
        decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8, d_model=8, max_source_positions=100,
        max_target_positions=20, decoder_start_token_id=1, pad_token_id=3, bos_token_id=0, eos_token_id=0,
        begin_suppress_tokens=None, suppress_tokens=None,
    )  # fmt: skip
    WhisperForConditionalGeneration(config).save_pretrained(tmp_path)
    scorer = WhisperScorer(tmp_path, longest=6)
    wave = torch.from_numpy(voice(120, 0.5, 0))
    heard = plain(scorer.transcribe(wave))
    assert heard == plain(scorer.transcribe(wave))
    rows = [
        Trial(PlanRow("x", "g", "voice", 0, True, {"sentence": said}), "m", Path("a"), Path("a"))
        for said in (heard or "cat", "")
    ]
    first, second = scorer.score([wave, wave], rows)
    assert first == dict.fromkeys(scorer.metrics, 0.0 if heard else 1.0)
    assert all(map(math.isnan, second.values()))
    with pytest.raises(RedactError, match="holds no Whisper"):
        WhisperScorer(tmp_path / "none")


def test_a_whisper_of_ctranslate2_transcribes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        RedactError, match=r"holds no Whisper of CTranslate2: model\.bin is missing; give the folder"
    ):
        FasterWhisperScorer(tmp_path)
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"as the package reads it")
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(RedactError, match="faster-whisper is not installed; pip install 'redact-core"):
        FasterWhisperScorer(tmp_path)
    asked: dict[str, object] = {}

    class WhisperModel:
        def __init__(self, folder: str, **options: object):
            assert folder == str(tmp_path)
            assert options["local_files_only"]
            if asked.get("broken"):
                raise RuntimeError("Unsupported model binary version")

        def transcribe(self, sound: np.ndarray, **options: object) -> tuple[list[object], None]:
            asked.update(options, samples=len(sound), kind=sound.dtype)
            return [types.SimpleNamespace(text=" The cat"), types.SimpleNamespace(text=" sat. ")], None

    module = types.ModuleType("faster_whisper")
    module.WhisperModel = WhisperModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    scorer = FasterWhisperScorer(tmp_path, language="de")
    row = Trial(PlanRow("x", "g", "v", 0, True, {"sentence": "the bat sat"}), "m", Path("a"), Path("a"))
    (scores,) = scorer.score([torch.zeros(9)], [row])
    assert scores["WER (Whisper)"] == pytest.approx(1 / 3)
    assert (asked["language"], asked["samples"], asked["kind"]) == ("de", 9, np.float32)
    scorer.transcribe(torch.zeros(0))
    assert asked["samples"] == 1600  # a tenth of a second of silence
    assert set(scorer.files) == {"model.bin", "config.json", "tokenizer.json"}
    asked["broken"] = True
    with pytest.raises(
        RedactError, match=r"cannot be loaded as a Whisper \(Unsupported model binary version\)"
    ):
        FasterWhisperScorer(tmp_path)


def test_word_errors_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = object.__new__(WhisperScorer)
    monkeypatch.setattr(scorer, "transcribe", lambda wave: "The cat sat, down!", raising=False)
    row = Trial(PlanRow("x", "g", "v", 0, True, {"sentence": "the bat sat"}), "m", Path("a"), Path("a"))
    (scores,) = scorer.score([torch.zeros(9)], [row])
    assert scores["WER (Whisper)"] == pytest.approx(2 / 3)  # one exchanged, one added
    assert scores["CER (Whisper)"] == pytest.approx(6 / 11)


def test_squim_reads_its_weights_and_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RedactError, match=r"There is no file .*or leave SquimScorer out"):
        SquimScorer(tmp_path / "none.pth")
    torch.save({"x": torch.zeros(1)}, tmp_path / "bad.pth")
    with pytest.raises(RedactError, match="does not fit SQUIM"):
        SquimScorer(tmp_path / "bad.pth")
    torch.save(squim_objective_base().state_dict(), tmp_path / "squim.pth")
    scorer = SquimScorer(tmp_path / "squim.pth")
    row = Trial(PlanRow("x", "g", "v", 0, True), "m", Path("a"), Path("a"))
    first, second = scorer.score([torch.from_numpy(voice(120, 0.6, 0)), torch.zeros(100)], [row, row])
    assert 0 <= first["STOI (SQUIM)"] <= 1
    assert 1 <= first["PESQ (SQUIM)"] <= 4.7
    assert all(map(math.isnan, second.values()))
