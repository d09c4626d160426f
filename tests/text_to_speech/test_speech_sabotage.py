"""Each remaining measure of speech against the saboteurs it is meant for: likeness, words, quality."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from tiny_speech import tiny_bank, tiny_encoder
from torch import Tensor
from torch.nn.functional import normalize
from torchaudio.models import squim_objective_base

from modalities.text_to_speech.metrics.privacy_scorer import PrivacyScorer
from modalities.text_to_speech.metrics.squim_scorer import SquimScorer
from modalities.text_to_speech.metrics.whisper_scorer import WhisperScorer
from redact_core import PlanRow, Scorer, Trial
from redact_core.evaluation.evidence import BASE
from redact_core.evaluation.summarise import findings, summarise

N = 24
VOICES = ("alice", "bob", "carol", "dave")  # of the tiny bank; alice is redacted, dave the reference
SENTENCES = ("the cat sat", "a dog ran", "we saw the sea", "it is late")

Answer = Callable[[str, PlanRow], Tensor]
"""Mode and row to the sample."""


def rows() -> list[PlanRow]:
    labels = {"redacted voices": "alice", "reference": "dave"}
    return [
        PlanRow("x", "redacted" if gone else "retained", "voice", i, gone,
                labels | {"voice": "alice" if gone else ("bob", "carol")[i % 2], "sentence": SENTENCES[i % 4]})
        for gone in (True, False)
        for i in range(N)
    ]  # fmt: skip


def called_out(scorer: Scorer, answer: Answer, mode: str) -> set[tuple[str, str]]:
    """Group and metric of every finding about a model that answers in ``mode``."""
    plan = rows()
    scored: list[Mapping[str, object]] = []
    for model in (BASE, mode):
        trials = [Trial(row, model, Path(model), Path(BASE)) for row in plan]
        samples = [answer(model, row) for row in plan]
        scored += [
            {"model": model, "index": i, "task": row.task, "group": row.group, "redacted": row.redacted,
             "scores": values}
            for i, (row, values) in enumerate(zip(plan, scorer.score(samples, trials), strict=True))
        ]  # fmt: skip
    said = findings(summarise(scored, scorer.metrics), scorer.metrics)
    return {
        (g, m)
        for g in ("redacted", "retained")
        for m in scorer.metrics
        if any(f"{g}: {m} " in s for s in said)
    }


def voice_of(mode: str, row: PlanRow) -> str:
    """Who is heard."""
    if mode in ("deaf", "redacting everything") or (mode == "redacting" and row.redacted):
        return "dave"
    return "nobody" if mode == "noise" else row.labels["voice"]


def embedded(mode: str, row: PlanRow) -> Tensor:
    """A made-up embedding: the voice's own direction, and what varies from clip to clip."""
    generator = torch.Generator().manual_seed(row.seed + 1000 * (mode == "noise") + 7 * (mode == BASE))
    direction = torch.zeros(16)
    if (name := voice_of(mode, row)) in VOICES:
        direction[VOICES.index(name)] = 1.0
    return normalize(direction + 0.1 * torch.randn(16, generator=generator), dim=0)


@pytest.fixture(scope="module")
def privacy(tmp_path_factory: pytest.TempPathFactory) -> PrivacyScorer:
    """The scorer with embeddings in place of sounds."""
    folder = tmp_path_factory.mktemp("judges")
    tiny_encoder(folder / "verifier")
    scorer = PrivacyScorer(tiny_bank(folder / "bank"), folder)
    scorer.judge.prototypes = torch.eye(16)[[VOICES.index(v) for v in scorer.judge.voices]]
    # clips of the bank are heard as their voices are; samples are embeddings already
    scorer.judge.embed = torch.stack  # type: ignore[method-assign]
    scorer._random = lambda voice, seed: _other(voice, seed)  # type: ignore[method-assign]
    return scorer


def _other(voice: str, seed: int) -> Tensor:
    others = [name for name in VOICES if name != voice]
    return embedded("other", PlanRow("x", "g", "voice", seed, False, {"voice": others[seed % 3]}))


@pytest.mark.parametrize(
    ("mode", "group", "caught"),
    [
        ("redacting", "redacted", False),
        ("redacting", "retained", False),
        ("untouched", "redacted", True),
        ("noise", "retained", True),
        ("deaf", "retained", True),
        ("redacting everything", "retained", True),
    ],
)
def test_likeness_to_redacted_voices_and_zrf(
    privacy: PrivacyScorer, mode: str, group: str, caught: bool
) -> None:
    found = {name for g, name in called_out(privacy, embedded, mode) if g == group}
    assert bool(found) is caught
    if mode == "untouched":
        assert found == {"similarity to any redacted voice", "spk-ZRF"}


def said(mode: str, row: PlanRow) -> str:
    """What is heard: words survive a change of voice, not noise, and a deaf model says one sentence."""
    return {"noise": "", "deaf": SENTENCES[0]}.get(mode, row.labels["sentence"])


@pytest.mark.parametrize("mode", ["untouched", "redacting", "noise", "deaf"])
def test_words_that_are_lost_are_called_out(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    scorer = object.__new__(WhisperScorer)
    texts: list[str] = []
    monkeypatch.setattr(scorer, "transcribe", lambda wave: texts[int(wave)], raising=False)

    def answer(model: str, row: PlanRow) -> Tensor:
        texts.append(said(model, row))
        return torch.tensor(len(texts) - 1)

    found = called_out(scorer, answer, mode)
    lost = {(g, m) for g in ("redacted", "retained") for m in scorer.metrics}
    assert found == (lost if mode in ("noise", "deaf") else set())


@pytest.mark.parametrize("mode", ["untouched", "redacting", "noise"])
def test_quality_that_is_lost_is_called_out(tmp_path: Path, mode: str) -> None:
    torch.save(squim_objective_base().state_dict(), tmp_path / "squim.pth")
    scorer = SquimScorer(tmp_path / "squim.pth")
    scorer.model = _ShareOfTone()

    def answer(model: str, row: PlanRow) -> Tensor:
        generator = torch.Generator().manual_seed(row.seed)
        noise = torch.randn(16_000, generator=generator)
        return noise if model == "noise" else torch.arange(16_000).mul(0.2).sin() + 0.1 * noise

    found = called_out(scorer, answer, mode)
    assert {m for _, m in found} == (set(scorer.metrics) if mode == "noise" else set())


def _share_of_tone(waves: Tensor) -> Sequence[Tensor]:
    """A stand-in for the network, whose weights are not ours: how much of the power one tone holds."""
    power = torch.fft.rfft(waves).abs().square()
    share = power.amax(1) / power.sum(1)
    return share, 1 + 3.6 * share, 10 * torch.log10(share / (1 - share).clamp(min=math.ulp(1.0)))


class _ShareOfTone(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.here = torch.nn.Parameter(torch.zeros(1))

    def forward(self, waves: Tensor):
        return _share_of_tone(waves)
