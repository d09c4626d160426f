"""Gates in front of the generator: an embedding of the stock encoder does not get around them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_speech import harmonic_bank, tiny_encoder, tiny_speecht5

from modalities.text_to_speech import SpeakerEncoder, SpeechT5
from modalities.text_to_speech.guards.embedding_gate import EmbeddingGate, gate_projection
from redact_core import Conditioning, RedactError, Request, redact


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tts``, ``stock`` and ``bank``, and in ``redacted`` the encoder with a gate for p0."""
    place = tmp_path_factory.mktemp("gate")
    tiny_speecht5(place / "tts")
    encoder = SpeakerEncoder(
        str(tiny_encoder(place / "stock")), harmonic_bank(place / "bank"), seconds=1.0, variants=2
    )
    redact(encoder, Request(("p0",), ("p5",)))
    (place / "redacted").mkdir()
    encoder.save(place / "redacted")
    return place


def speech(place: Path, encoder: str = "stock") -> SpeechT5:
    return SpeechT5(
        str(place / "tts"), str(place / encoder), bank=place / "bank", sentences=["the fox"], seconds=1.0
    )


@torch.no_grad()
def test_a_stock_embedding_of_the_redacted_voice_is_answered_by_the_reference(place: Path) -> None:
    stock, redacted = speech(place), speech(place, "redacted")
    guard = EmbeddingGate(stock, str(place / "redacted"))
    clips = [str(stock.bank.voices[v][0]) for v in ("p0", "p3")]
    embeddings = stock.encode(clips)
    around = redacted.generate(embeddings, seeds=[0, 0])
    plain, wanted = (model.generate(clips, seeds=[0, 0]) for model in (stock, redacted))
    assert torch.equal(around[0], plain[0]), "without the guard it goes around the redacted encoder"
    assert not torch.equal(wanted[0], plain[0])
    for found in (guard.generate(embeddings, seeds=[0, 0]), guard.generate(clips, seeds=[0, 0])):
        assert torch.equal(found[0], wanted[0])
        assert torch.equal(found[1], plain[1]), "who stays keeps every bit"
    both = EmbeddingGate(redacted, str(place / "redacted")).generate(clips, seeds=[0, 0])
    assert all(torch.equal(a, b) for a, b in zip(both, wanted, strict=True))
    assert "embedding gate/voice_gate_1.ckpt" in guard.files()


@torch.no_grad()
def test_the_gates_stand_in_a_transformers_model_until_they_are_removed(place: Path) -> None:
    model = speech(place)
    clip = str(model.bank.voices["p0"][0])
    voice, reference = model.encode([clip]).hidden[0], speech(place, "redacted").encode([clip]).hidden[0]
    letters: Any = model.processor(text="the fox", return_tensors="pt")

    def spoken(embedding: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return model.model.generate_speech(letters["input_ids"], embedding, maxlenratio=4.0)

    before, wanted = spoken(voice), spoken(reference)
    assert not torch.equal(before, wanted)
    handle = gate_projection(model.model, str(place / "redacted"))
    assert torch.equal(spoken(voice), wanted)
    handle.remove()
    assert torch.equal(spoken(voice), before)


def test_what_cannot_be_gated_is_said(place: Path) -> None:
    with pytest.raises(RedactError, match="holds no gates; give the folder that a redaction with"):
        EmbeddingGate(speech(place), str(place / "stock"))
    guard = EmbeddingGate(speech(place), str(place / "redacted"))
    other = Conditioning(torch.zeros(1, 1, 5), torch.ones(1, 1, dtype=torch.bool))
    with pytest.raises(RedactError, match="embeddings of 12 dimensions, these have 5"):
        guard.generate(other, seeds=[0])
