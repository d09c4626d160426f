"""The judges of speech: who is heard, what is read, and what the groups of a grade are."""

from pathlib import Path

import pytest
import soundfile
import torch
from tiny_speech import voice

from modalities.sound.clips import read_clip
from modalities.text_to_speech.judges.grading import Case, Spoken, against_others, cases, compare
from modalities.text_to_speech.judges.judge import BUNDLED, VoiceJudge, VoiceSimilarity
from modalities.text_to_speech.judges.recogniser import LETTERS, Recogniser, error_rate, log_mels
from modalities.text_to_speech.judges.verifier import embed_clip
from modalities.text_to_speech.voices.mislabelled_clips import PER_VOICE, misplaced
from redact_core.metrics.statistics import auroc, bootstrap_mean


def pitch(clip: Path) -> torch.Tensor:
    """Hears nothing but where the strongest harmonics lie."""
    spectrum = torch.fft.rfft(read_clip(clip), n=16_000).abs()[50:1050]
    return torch.nn.functional.normalize(spectrum.reshape(100, 10).sum(1), dim=0)


def test_a_clip_of_somebody_else_is_named(tmp_path: Path) -> None:
    for name, height in (("alice", 120.0), ("bob", 210.0), ("carol", 290.0)):
        (tmp_path / name).mkdir()
        for i in range(4):
            soundfile.write(tmp_path / name / f"{i}.wav", voice(height, 0.8, i), 16_000)
    soundfile.write(tmp_path / "alice" / "9.wav", voice(210.0, 0.8, 33), 16_000)
    kept = sorted(tmp_path.glob("[bc]*/*.wav"))
    alice = sorted((tmp_path / "alice").glob("*.wav"))
    assert misplaced(alice, kept, pitch) == {tmp_path / "alice" / "9.wav": "bob"}
    assert misplaced(alice[:4], kept, pitch) == {}
    assert misplaced(alice[:2], kept, pitch) == {}


def test_few_clips_of_each_voice_are_heard_and_each_once(tmp_path: Path) -> None:
    for name, height in (("alice", 120.0), ("bob", 210.0)):
        (tmp_path / name).mkdir()
        for i in range(5):
            soundfile.write(tmp_path / name / f"{i}.wav", voice(height, 0.8, i), 16_000)
    heard: list[Path] = []
    alice, bob = (sorted((tmp_path / name).glob("*.wav")) for name in ("alice", "bob"))
    misplaced(alice, bob, lambda clip: heard.append(clip) or pitch(clip))
    assert heard == [*alice, *bob[:PER_VOICE]]
    folder = BUNDLED / "verifier"
    first = embed_clip(alice[0], folder)
    assert first.norm().item() == pytest.approx(1, abs=1e-5)
    assert embed_clip(alice[0], folder) is first
    judge = VoiceJudge({"alice": alice[:2], "bob": bob[:2]})
    torch.testing.assert_close(judge.embed([read_clip(alice[0])])[0], first)
    assert judge([read_clip(bob[3])]).identified("bob").tolist() == [True]


def test_error_rate_counts_edits_over_letters() -> None:
    assert error_rate(["the fox", ""], ["the fox", "abc"]) == pytest.approx(3 / 10)
    assert error_rate(["thee fax"], ["the fox"]) == pytest.approx(2 / 7)


def test_the_recogniser_reads_any_length() -> None:
    model = Recogniser(layers=1).eval()
    wave = torch.from_numpy(voice(150, 0.7, 0))
    assert set(model.read(wave)) <= set(LETTERS)
    assert model.read(wave[:500]) == ""
    mels = log_mels(wave)
    scores, steps = model(mels[None], torch.tensor([len(mels)]))
    assert scores.shape[1:] == (int(steps), len(LETTERS) + 1)


def test_the_recogniser_learns() -> None:
    """Two sounds, two letters: two hundred steps suffice, or nothing is learnt at all."""
    model = Recogniser(layers=1).eval()
    waves = [torch.from_numpy(voice(p, 0.6, 1)) for p in (110, 260)]
    mels = torch.stack([log_mels(w) for w in waves])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    target = torch.tensor([[1], [2]])
    for _ in range(200):
        scores, steps = model(mels, torch.full((2,), mels.shape[1]))
        loss = torch.nn.functional.ctc_loss(scores.transpose(0, 1), target, steps, torch.tensor([1, 1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert [model.read(w) for w in waves] == ["a", "b"]


def test_auroc_of_apart_equal_and_reversed() -> None:
    low, high = torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.4])
    assert auroc(high, low) == 1.0
    assert auroc(low, high) == 0.0
    assert auroc(low, low) == 0.5


def spoken(best: list[int], texts: list[str]) -> Spoken:
    names = ["a", "b", "c"]
    similarity = torch.full((len(best), 3), 0.1)
    similarity[torch.arange(len(best)), best] = 0.9
    rows = [Case(Path("x.wav"), "a", seed) for seed in range(len(best))]
    return Spoken(rows, [torch.zeros(10)] * len(best), VoiceSimilarity(similarity, names), texts)


class Sentences:
    def sentence(self, seed: int) -> str:
        return "abcd"


def test_rows_of_a_group() -> None:
    base, redacted = spoken([0, 0, 0, 1], ["abcd"] * 4), spoken([1, 1, 1, 1], ["abcd", "abc", "abcd", "abcd"])
    rows = {row["metric"]: row for row in compare("redacted", base, redacted, Sentences())}
    assert rows["identified"]["base"] == 0.75
    assert rows["identified"]["redacted"] == 0.0
    assert rows["identified"]["low"] == 0.0
    assert rows["identified"]["high"] == pytest.approx(0.4899, abs=1e-3)  # Wilson, 0 of 4
    assert rows["similarity"]["redacted"] == pytest.approx(0.1)
    assert rows["cer"]["base"] == 0.0
    assert rows["cer"]["redacted"] == pytest.approx(0.25 / 4)


def test_auroc_calls_out_the_untouched_model() -> None:
    others = spoken([1, 1, 2, 2], ["abcd"] * 4)
    untouched, redacted = spoken([0, 0, 0, 0], ["abcd"] * 4), spoken([1, 2, 1, 2], ["abcd"] * 4)
    row = against_others("a", untouched, redacted, others)
    assert row["base"] == 1.0
    assert row["redacted"] == 0.5
    assert row["low"] == row["high"] == 0.5


def test_cases_go_round_voices_and_clips() -> None:
    rows = cases({"a": [Path("a0"), Path("a1")], "b": [Path("b0")]}, 5, 100)
    assert [(str(r.clip), r.voice, r.seed) for r in rows] == [
        ("a0", "a", 100), ("b0", "b", 101), ("a1", "a", 102), ("b0", "b", 103), ("a0", "a", 104),
    ]  # fmt: skip


def test_bootstrap_mean_leaves_nan_out_and_covers_the_mean() -> None:
    rate = bootstrap_mean([0.0, 1.0, float("nan"), 1.0, 0.0])
    assert rate.value == 0.5
    assert rate.n == 4
    assert rate.low <= 0.5 <= rate.high
    assert bootstrap_mean([]).n == 0
