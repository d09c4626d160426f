"""The five lines of Python for a voice."""

from __future__ import annotations

from pathlib import Path

import soundfile
import torch
from speechbrain.inference.classifiers import EncoderClassifier
from tiny_speech import tiny_bank, tiny_encoder, tiny_speecht5

from modalities.text_to_speech import SpeechT5
from redact_core import RedactionCard, redact


def test_a_voice_is_redacted_heard_and_saved(tmp_path: Path) -> None:
    model = SpeechT5.from_pretrained(
        tiny_speecht5(tmp_path / "tts"), encoder=str(tiny_encoder(tmp_path / "encoder")),
        bank=tiny_bank(tmp_path / "bank"), seconds=0.7, variants=1, sentences=["a"],
    ).to("cpu")  # fmt: skip
    result = redact(model, "alice", reference="bob", steps=6, lr=3e-3)
    assert result.measures["redact distance after"] < result.measures["redact distance before"]
    (audio,) = model("alice", seed=3).audios
    assert audio.rate == 16_000
    assert torch.equal(audio.samples, model.generate(["alice"], seeds=[3])[0])
    written, rate = soundfile.read(audio.save(tmp_path / "x.wav"))
    assert (len(written), rate) == (len(audio.samples), 16_000)
    model.save_pretrained(tmp_path / "out")
    card = RedactionCard.read(tmp_path / "out")
    assert card.request["asked"][0].startswith("alice -> bob")
    assert card.verify(tmp_path / "out") == []
    assert EncoderClassifier.from_hparams(str(tmp_path / "out"), savedir=str(tmp_path / "cache"))
