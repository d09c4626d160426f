"""Resemblyzer's network as a judge, here with random weights in its own format."""

import math
from pathlib import Path

import pytest
import soundfile
import torch

from modalities.text_to_speech.encoders.ge2e import GE2E
from modalities.text_to_speech.metrics.resemblyzer_scorer import ResemblyzerScorer
from redact_core import PlanRow, RedactError, Trial

IDENTIFIED, LIKENESS, REFERENCE, OTHER = ResemblyzerScorer.metrics


def sound(path: Path, seed: int) -> Path:
    """Noise of a colour of its own, two seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = torch.randn(32_000, generator=torch.Generator().manual_seed(seed)).numpy()
    for _ in range(seed):
        noise[1:] += 0.9 * noise[:-1]
    soundfile.write(path, 0.3 * noise / abs(noise).max(), 16_000)
    return path


@pytest.fixture
def judge(tmp_path: Path) -> ResemblyzerScorer:
    torch.manual_seed(0)
    torch.save({"model_state": GE2E().state_dict()}, tmp_path / "weights.pt")
    for seed, voice in enumerate(("ann", "bob", "cid")):
        sound(tmp_path / "bank" / voice / "0.wav", seed)
    sound(tmp_path / "strangers" / "one.wav", 3)
    return ResemblyzerScorer(tmp_path / "bank", tmp_path / "strangers", tmp_path / "weights.pt")


def trial(path: Path, redacted: bool, **labels: str) -> Trial:
    group = "redacted" if redacted else "retained"
    return Trial(PlanRow("x", group, "voice", 0, redacted, labels), "m", path, path)


def test_a_voice_is_named_among_everybody(judge: ResemblyzerScorer, tmp_path: Path) -> None:
    own, stranger = tmp_path / "bank" / "ann" / "0.wav", tmp_path / "strangers" / "one.wav"
    rows = [
        trial(own, False, voice="ann"),
        trial(own, True, voice="bob", reference="ann"),
        trial(stranger, False, voice="ann"),
        trial(own, False, voice="nobody"),
    ]
    found = judge.score([judge.read(row.sample) for row in rows], rows)
    kept, gone, foreign, unknown = found
    assert (kept[IDENTIFIED], gone[IDENTIFIED], foreign[IDENTIFIED]) == (1, 0, 0)
    assert kept[LIKENESS] == pytest.approx(1, abs=1e-5)
    assert gone[REFERENCE] == pytest.approx(1, abs=1e-5)
    assert REFERENCE not in kept
    ann, bob, cid = judge.prototypes[:3]
    assert gone[LIKENESS] == pytest.approx((ann @ bob).item(), abs=1e-5)
    assert gone[OTHER] == pytest.approx((ann @ cid).item(), abs=1e-5)  # neither asked for nor the reference
    assert math.isnan(unknown[IDENTIFIED])
    assert set(judge.files) == {"pretrained.pt", "ann/0.wav", "bob/0.wav", "cid/0.wav", "strangers/one.wav"}


def test_a_folder_without_strangers_is_refused(judge: ResemblyzerScorer, tmp_path: Path) -> None:
    with pytest.raises(
        RedactError, match="none holds no clips; give a folder with one clip for each stranger"
    ):
        ResemblyzerScorer(tmp_path / "bank", tmp_path / "none", judge.weights)
