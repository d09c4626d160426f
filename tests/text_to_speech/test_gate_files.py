"""Gates in files: SpeechBrain loads them without us, Resemblyzer's encoder is its own, attacks go around them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_speech import harmonic_bank, tiny_encoder

from modalities.inspecting import inspect
from modalities.text_to_speech import SpeakerEncoder
from modalities.text_to_speech.attacks.bounded_clip import gap, guide
from modalities.text_to_speech.encoders import ge2e
from modalities.text_to_speech.encoders.gate_files import bare_and_gates, read_gates, write_gates
from modalities.text_to_speech.encoders.voice_encoder import load_encoder
from redact_core import RedactError, Request, redact
from redact_core.gates import GatedEncoder, around_gates, fit_gate


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="module")
def gated(place: Path) -> SpeakerEncoder:
    """A tiny SpeechBrain encoder with two people gated, saved to ``redacted``."""
    model = SpeakerEncoder(
        str(tiny_encoder(place / "stock")), harmonic_bank(place / "bank"), seconds=1.0, variants=2
    )
    redact(model, Request(("p0", "p1"), ("p5",)))
    (place / "redacted").mkdir()
    model.save(place / "redacted")
    return model


def clips(model: SpeakerEncoder) -> dict[str, torch.Tensor]:
    return model.collate([str(path) for paths in model.bank.voices.values() for path in paths])


def test_kept_clips_are_the_stock_encoders_and_redacted_ones_are_not(
    gated: SpeakerEncoder, place: Path
) -> None:
    inputs = clips(gated)
    with torch.no_grad():
        stock, now = load_encoder(place / "stock")(inputs).hidden, gated.encoder(inputs).hidden
    assert torch.equal(now[6:], stock[6:])
    answers = torch.stack([gate.answer for gate in bare_and_gates(gated.encoder)[1]])
    assert all((answers == row).all(1).any() for row in now[:6, 0]), (
        "every clip of the two is answered by a reference"
    )
    assert len(bare_and_gates(gated.encoder)[1]) == 2


def test_inspect_sees_that_a_gated_encoder_is_redacted(gated: SpeakerEncoder, tmp_path: Path) -> None:
    out = gated.save_pretrained(tmp_path / "out")
    covered = [path for path in inspect(str(out)).paths if path.covered_by]
    assert [(path.name, path.redacted) for path in covered] == [("hyperparams.yaml: embedding_model", True)]
    assert covered[0].what == "ECAPA_TDNN, gates behind it: 2"


def test_the_folder_opens_again_with_its_gates_and_can_have_another(
    gated: SpeakerEncoder, place: Path
) -> None:
    again = gated.reopen(place / "redacted")
    inputs = clips(gated)
    with torch.no_grad():
        assert torch.equal(again.encoder(inputs).hidden, gated.encoder(inputs).hidden)
    assert (place / "redacted" / "embedding_model.ckpt").read_bytes() == (
        place / "stock" / "embedding_model.ckpt"
    ).read_bytes()
    redact(again, Request(("p2",), ("p4",), ("p3", "p4")))
    (place / "third").mkdir()
    again.save(place / "third")
    third = gated.reopen(place / "third")
    assert len(bare_and_gates(third.encoder)[1]) == 3
    for number in (1, 2):
        name = f"voice_gate_{number}.ckpt"
        old, new = (torch.load(place / f / name, weights_only=True) for f in ("redacted", "third"))
        assert all(torch.equal(new[key], value) for key, value in old.items())
    with torch.no_grad():
        assert torch.equal(third.encoder(inputs).hidden[:6], gated.encoder(inputs).hidden[:6])


@pytest.mark.slow
def test_speechbrain_loads_the_folder_without_redact(gated: SpeakerEncoder, place: Path) -> None:
    inputs = clips(gated)
    with torch.no_grad():
        stock = load_encoder(place / "stock")(inputs).hidden
        torch.save((inputs["waveform"], gated.encoder(inputs).hidden, stock), place / "expected.pt")
    code = """
import sys, torch
from speechbrain.inference.classifiers import EncoderClassifier
from speechbrain.utils.fetching import LocalStrategy
folder, expected = sys.argv[1:]
loaded = EncoderClassifier.from_hparams(folder, savedir=folder, local_strategy=LocalStrategy.NO_LINK)
waves, now, stock = torch.load(expected, weights_only=True)
found = loaded.encode_batch(waves)
assert (found - now).abs().max() <= 1e-6, (found - now).abs().max()
assert torch.equal(found[6:], stock[6:])
assert not any(name.partition('.')[0] in ('redact_core', 'modalities') for name in sys.modules)
"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(place / "redacted"), str(place / "expected.pt")],
        cwd=place, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_gradient_goes_around_a_shut_gate(gated: SpeakerEncoder) -> None:
    waves = clips(gated)["waveform"][:1].requires_grad_()
    wanted = torch.nn.functional.normalize(
        around_gates(gated.encoder, {"waveform": waves})[0].detach(), dim=1
    )
    (through,) = torch.autograd.grad(gap(gated, waves, wanted).sum(), waves, allow_unused=True)
    assert through is None or not through.any(), "an open gate answers whatever is asked"
    way, found = guide(gated, waves, wanted, 1.0)
    (slope,) = torch.autograd.grad(way.sum(), waves)
    assert slope.abs().sum() > 0
    assert torch.equal(found, gap(gated, waves, wanted).detach())
    _, _, openings, moved = around_gates(gated.encoder, {"waveform": waves})
    way, found = guide(gated, waves, wanted, 1.0, behind_moves=True)
    led = 1 - torch.cosine_similarity(moved, wanted) + torch.relu(openings + 1e-3).sum(1)
    assert torch.equal(way, led)
    assert torch.equal(found, gap(gated, waves, wanted).detach())


def test_an_encoder_without_gates_is_attacked_as_before(gated: SpeakerEncoder, place: Path) -> None:
    stock = SpeakerEncoder(str(place / "stock"), gated.bank.folder, seconds=1.0)
    waves = clips(gated)["waveform"][:2]
    wanted = torch.nn.functional.normalize(
        torch.randn(2, 12, generator=torch.Generator().manual_seed(0)), dim=1
    )
    way, found = guide(stock, waves, wanted, 100.0)
    assert torch.equal(way.detach(), found)
    assert torch.equal(found, gap(stock, waves, wanted).detach())


def test_gates_as_tensors_and_as_torchscript(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    people = [
        torch.randn(1, 1, 16, generator=generator) + 0.1 * torch.randn(3, 2, 16, generator=generator)
        for _ in range(8)
    ]
    gates = [fit_gate(people[k], [p[:, 0] for p in people[2:]]).gate for k in (0, 1)]
    write_gates(gates, tmp_path)
    rows = torch.cat([p[:, :1] for p in people])
    expected = gates[1](gates[0](rows))
    assert torch.equal(torch.jit.load(str(tmp_path / "voice_gates.pt"))(rows), expected)
    first, second = read_gates(tmp_path)
    assert torch.equal(second(first(rows)), expected)
    assert read_gates(tmp_path / "nothing") == []


def test_ge2e_is_resemblyzers_encoder(tmp_path: Path) -> None:
    pytest.importorskip("resemblyzer")
    from resemblyzer import VoiceEncoder
    from resemblyzer.audio import normalize_volume

    model = SpeakerEncoder("resemblyzer")
    wave = 0.05 * torch.randn(40_000, generator=torch.Generator().manual_seed(0)).cumsum(0).sin()
    theirs = VoiceEncoder("cpu", verbose=False).embed_utterance(
        normalize_volume(wave.numpy(), -30, increase_only=True)
    )
    with torch.no_grad():
        ours = model.encoder({"waveform": wave[None]}).hidden[0, 0]
    torch.testing.assert_close(ours, torch.from_numpy(theirs), atol=1e-4, rtol=0)
    person = [torch.randn(1, 1, 256, generator=torch.Generator().manual_seed(k)).relu() for k in range(4)]
    model.encoder = GatedEncoder(model.encoder, [fit_gate(person[0], [p[:, 0] for p in person[1:]]).gate])
    model.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "pretrained.pt",
        "voice_gates.pt",
        "voice_gates.safetensors",
    ]
    assert (tmp_path / "pretrained.pt").read_bytes() == ge2e.weights().read_bytes()
    again = SpeakerEncoder(str(tmp_path))
    with torch.no_grad():
        assert torch.equal(again.encoder({"waveform": wave[None]}).hidden[0, 0], ours)


def test_quiet_clips_are_raised_and_short_ones_filled() -> None:
    assert ge2e.louder(torch.full((1, 100), 1e-4)).square().mean().sqrt().item() == pytest.approx(
        10**-1.5, rel=1e-3
    )
    loud = torch.full((1, 100), 0.5)
    assert torch.equal(ge2e.louder(loud), loud)
    with torch.no_grad():
        windows = ge2e.GE2E().windows(torch.randn(2, 8_000))
    assert windows.shape == (2, 1, 256)


def test_folders_of_no_encoder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RedactError, match=r"holds neither hyperparams\.yaml"):
        SpeakerEncoder(str(tmp_path))
    (tmp_path / "pretrained.pt").write_bytes(b"nothing")
    with pytest.raises(RedactError, match="no GE2E encoder"):
        SpeakerEncoder(str(tmp_path))
