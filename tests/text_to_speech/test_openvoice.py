"""OpenVoice's tone colour encoder: read as its own code computes it, and written back where its own code reads it."""

import json
import warnings
from pathlib import Path

import pytest
import soundfile
import torch
from tiny_speech import harmonic_bank
from torch import Tensor, nn

from modalities.inspecting import inspect
from modalities.text_to_speech import SpeakerEncoder
from redact_core import Distillation, RedactError, RedactionCard, Request, redact
from redact_core.support.folders import hashes

BINS, RATE, HOP = 33, 22_050, 16
REQUEST = Request(("p0",), ("p5",))


class Theirs(nn.Module):
    """Of the same structure and key names as the stock class: weight-normed convolutions, GRU, projection, layer norm."""

    def __init__(self):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # the old names of weight normalisation are the point
            self.convs = nn.ModuleList(
                nn.utils.weight_norm(nn.Conv2d(a, b, (3, 3), (2, 2), (1, 1)))
                for a, b in ((1, 4), (4, 6), (6, 6))
            )
        self.gru = nn.GRU(6 * 5, 8, batch_first=True)  # 33, 17, 9, 5 bins
        self.proj = nn.Linear(8, 12)
        self.layernorm = nn.LayerNorm(BINS)
        with torch.no_grad():  # fresh weights tell no voices apart
            for value in self.parameters():
                value.mul_(2.5)

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.layernorm(inputs.view(len(inputs), 1, -1, BINS))
        for conv in self.convs:
            out = conv(out).relu()
        out = out.transpose(1, 2)
        _, last = self.gru(out.contiguous().view(out.size(0), out.size(1), -1))
        return self.proj(last.squeeze(0))


def openvoice(folder: Path) -> Path:
    folder.mkdir()
    torch.manual_seed(0)
    model = {f"ref_enc.{name}": value for name, value in Theirs().state_dict().items()} | {
        "dec.weight": torch.randn(3)
    }
    torch.save({"model": model, "iteration": 7}, folder / "checkpoint.pth")
    data = {"sampling_rate": RATE, "filter_length": 64, "hop_length": HOP, "win_length": 64}
    settings = {"data": data, "model": {"gin_channels": 12, "zero_g": True}}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def extract_se(folder: Path, waves: Tensor) -> Tensor:
    """``(batch, 12)`` as the stock code computes it from the folder's own files."""
    values = torch.load(folder / "checkpoint.pth", weights_only=True)["model"]
    stock = Theirs().eval()
    stock.load_state_dict(
        {k.removeprefix("ref_enc."): v for k, v in values.items() if k.startswith("ref_enc.")}
    )
    sound = nn.functional.pad(waves[:, None], (24, 24), mode="reflect")[:, 0]
    spectrum = torch.stft(sound, 64, HOP, 64, torch.hann_window(64), center=False, return_complex=True)
    magnitude = torch.sqrt(torch.view_as_real(spectrum).pow(2).sum(-1) + 1e-6)
    with torch.no_grad():
        return stock(magnitude.transpose(1, 2))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harmonic_bank(tmp_path_factory.mktemp("bank"))


def opened(folder: Path, bank: Path) -> tuple[SpeakerEncoder, Tensor]:
    model = SpeakerEncoder(str(folder), bank, seconds=1.0, variants=2)
    return model, model.collate([str(path) for paths in model.bank.voices.values() for path in paths])[
        "waveform"
    ]


def embedded(model: SpeakerEncoder, waves: Tensor) -> Tensor:
    with torch.no_grad():
        return model.encoder({"waveform": waves}).hidden[:, 0]


def test_it_computes_what_the_stock_code_computes(bank: Path, tmp_path: Path) -> None:
    base = openvoice(tmp_path / "base")
    model, waves = opened(base, bank)
    torch.testing.assert_close(embedded(model, waves), extract_se(base, waves), atol=1e-5, rtol=1e-4)


def test_clips_are_read_at_the_rate_of_the_checkpoint_and_lose_no_high_band(
    bank: Path, tmp_path: Path
) -> None:
    base = openvoice(tmp_path / "base")
    model, _ = opened(base, bank)
    times = torch.arange(RATE) / RATE
    low, high = (0.1 * torch.sin(2 * torch.pi * hertz * times) for hertz in (300, 10_000))
    for name, wave in (("low", low), ("both", low + high)):
        soundfile.write(tmp_path / f"{name}.wav", wave.numpy(), RATE, subtype="FLOAT")
    waves = model.collate([str(tmp_path / "low.wav"), str(tmp_path / "both.wav")])["waveform"]
    torch.testing.assert_close(waves, torch.stack([low, low + high]))
    found = embedded(model, waves)
    torch.testing.assert_close(found, extract_se(base, waves), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found[0], found[1], atol=1e-3), "16,000 samples a second hold nothing of 10 kHz"


def test_what_was_distilled_lies_in_the_checkpoint_of_the_stock_code(bank: Path, tmp_path: Path) -> None:
    base = openvoice(tmp_path / "base")
    model, waves = opened(base, bank)
    before = embedded(model, waves)
    redact(model, REQUEST, objective=Distillation(), steps=4, lr=3e-3)
    after = embedded(model, waves)
    assert not torch.allclose(after, before, atol=1e-4)
    out = model.save_pretrained(tmp_path / "out")
    torch.testing.assert_close(extract_se(out, waves), after, atol=1e-5, rtol=1e-4)
    old, new = (torch.load(folder / "checkpoint.pth", weights_only=True) for folder in (base, out))
    assert list(new["model"]) == list(old["model"])
    assert torch.equal(new["model"]["dec.weight"], old["model"]["dec.weight"])
    assert new["iteration"] == 7
    card = RedactionCard.read(out)
    assert set(card.changed) == {"checkpoint.pth"}
    assert card.base["kind"] == "OpenVoice ToneColorConverter"
    covered = [path for path in inspect(str(out)).paths if path.covered_by]
    assert [(path.name, path.covered_by, path.redacted) for path in covered] == [
        ("checkpoint.pth: ref_enc", "SpeakerEncoder", True)
    ]


def test_gates_stand_beside_the_stock_checkpoint(bank: Path, tmp_path: Path) -> None:
    base = openvoice(tmp_path / "base")
    model, waves = opened(base, bank)
    before = embedded(model, waves)
    redact(model, REQUEST)
    out = model.save_pretrained(tmp_path / "out")
    assert hashes(out)["checkpoint.pth"] == hashes(base)["checkpoint.pth"]
    again, _ = opened(out, bank)
    after = embedded(again, waves)
    assert torch.equal(after[3:], before[3:])
    assert (after[:3] != before[:3]).any(1).all()
    (encoder,) = [path for path in inspect(str(out)).paths if path.covered_by]
    assert encoder.redacted
    script = torch.jit.load(str(out / "voice_gates.pt"))
    torch.testing.assert_close(script(extract_se(out, waves)[:, None])[:, 0], after, atol=1e-4, rtol=1e-4)


def test_a_damaged_checkpoint_is_one_clear_line(bank: Path, tmp_path: Path) -> None:
    base = openvoice(tmp_path / "base")
    torch.save({"model": {"ref_enc.proj.weight": torch.zeros(2, 2)}}, base / "checkpoint.pth")
    with pytest.raises(
        RedactError, match=r"checkpoint\.pth holds no ref_enc of OpenVoice that config\.json describes"
    ):
        opened(base, bank)
    torch.save([1], base / "checkpoint.pth")
    with pytest.raises(RedactError, match=r"checkpoint\.pth holds no model of OpenVoice; fetch it again"):
        opened(base, bank)
    (base / "checkpoint.pth").unlink()
    with pytest.raises(RedactError, match=r"checkpoint\.pth is missing; the folder is not complete"):
        opened(base, bank)
