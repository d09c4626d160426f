"""Espresso on the bundled CLIP, and its counterpart for voices on a tiny speech model."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_cloner import tiny_cloner
from transformers import CLIPImageProcessor

from modalities.picture_files import read_picture
from modalities.sound.bank import VoiceBank
from modalities.sound.clips import read_clip
from modalities.text_to_image import Espresso, StableDiffusion
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.guards.anchor_tuning import Tuning, save_tower, tune
from modalities.text_to_image.guards.picture_text import PictureText
from modalities.text_to_speech import SpeechT5, VoiceFilter
from modalities.text_to_speech.judges.judge import BUNDLED as BUNDLED_SPEECH
from redact_core import RedactError
from redact_core.adapters.contract import check_adapter


@pytest.fixture(scope="module")
def clip() -> PictureText:
    return PictureText(BUNDLED / "clip")


def pictures(n: int, size: int = 32) -> list[torch.Tensor]:
    smooth = torch.rand(n, 3, 4, 4)
    return list(torch.nn.functional.interpolate(smooth, size=size, mode="bilinear"))


def test_pictures_are_prepared_as_the_processor_does(clip: PictureText, tmp_path: Path) -> None:
    processor = CLIPImageProcessor.from_pretrained(BUNDLED / "clip")
    Image.fromarray((pictures(1, 48)[0].permute(1, 2, 0) * 255).byte().numpy()).save(tmp_path / "p.png")
    sample = read_picture(tmp_path / "p.png")
    with torch.no_grad(), Image.open(tmp_path / "p.png") as image:
        pixels = processor(image, return_tensors="pt")["pixel_values"]
        pooled = clip.model.vision_model(pixel_values=pixels).pooler_output
        expected = torch.nn.functional.normalize(clip.model.visual_projection(pooled), dim=1)
    assert (clip.pictures([sample]) @ expected.T).item() > 0.999
    sample.requires_grad_(True)
    (slope,) = torch.autograd.grad(clip.pictures([sample]).sum(), sample)
    assert slope.any()


def test_what_is_blocked_is_replaced(tiny_sd: Path, tmp_path: Path) -> None:
    model = StableDiffusion(str(tiny_sd), steps=2)
    plain = model.generate(["cat", "dog", "red"], seeds=[1, 2, 3])
    guard = Espresso(model, ["a cigarette"], ["a tiger", "a lollipop"])
    scores = guard.anchors.score(guard.embed(plain))
    between = scores.sort().values[:2].mean().item()
    guard = Espresso(model, ["a cigarette"], ["a tiger", "a lollipop"], threshold=between)
    found = guard.generate(["cat", "dog", "red"], seeds=[1, 2, 3])
    passed = scores.argmin().item()
    for i in range(3):
        assert torch.equal(found[i], plain[i] if i == passed else torch.full_like(plain[i], 0.5))
    Image.new("RGB", (40, 20), (255, 0, 0)).save(tmp_path / "stop.png")
    red = Espresso(model, ["a cigarette"], ["a tiger"], threshold=0.0, replacement=tmp_path / "stop.png")
    shown = red.generate(["cat"], seeds=[1])[0]
    assert shown.shape == plain[0].shape
    assert shown[0].min() > 0.99
    assert shown[1:].max() < 0.01
    assert "espresso/replacement" in red.files()
    check_adapter(guard, ["cat", "a red dog"])


def test_the_threshold_is_set_on_a_folder_of_pictures(tiny_sd: Path, tmp_path: Path) -> None:
    model = StableDiffusion(str(tiny_sd), steps=2)
    for i, picture in enumerate(pictures(20)):
        model.write_sample(picture, tmp_path / f"{i}")
    lists = ["a cigarette"], ["a tiger"]
    guard = Espresso(model, *lists, validation=tmp_path, rate=0.05)
    shown = guard.embed([read_picture(path) for path in tmp_path.glob("*.png")])
    assert guard.anchors.blocked(shown).sum() == 1
    (tmp_path / "none").mkdir()
    with pytest.raises(RedactError, match="0 validation samples"):
        Espresso(model, *lists, validation=tmp_path / "none")
    with pytest.raises(RedactError, match="needs two lists"):
        Espresso(model, [], ["a tiger"])
    with pytest.raises(RedactError, match="cannot be loaded as a CLIPModel"):
        Espresso(model, *lists, clip=tmp_path)


def test_tuning_moves_the_anchors_apart_and_is_kept(tmp_path: Path) -> None:
    clip, shown = PictureText(BUNDLED / "clip"), pictures(8)
    texts, unacceptable, acceptable = (
        ["a tiger", "a bus", "a pear"],
        ["a cigarette", "cigarettes"],
        ["a lollipop"],
    )
    with torch.no_grad():
        before = clip.texts([*unacceptable, *texts]), clip.pictures(shown)
    history = tune(clip, unacceptable, acceptable, texts, shown, Tuning(8, 3e-4, apart=1.0))
    assert history[-1].separation > history[0].separation
    assert history[0].utility < 1e-12  # nothing has moved yet
    assert history[-1].utility > 1e-9
    with torch.no_grad():
        assert torch.equal(clip.pictures(shown), before[1])  # the pictures' tower stays
        assert not torch.equal(clip.texts(["a tiger"]), before[0][2:3])
    tuning = Tuning(8, 3e-4, apart=1.0, keep=0.0)
    free = tune(PictureText(BUNDLED / "clip"), unacceptable, acceptable, texts, shown, tuning)
    assert free[-1].utility > history[-1].utility  # the second term holds back what the first would spoil
    save_tower(clip, tmp_path / "tower.safetensors")
    again = PictureText(BUNDLED / "clip", tmp_path / "tower.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(again.texts(texts), clip.texts(texts))
    (tmp_path / "damaged.safetensors").write_bytes(b"no")
    with pytest.raises(RedactError, match="is no safetensors file"):
        PictureText(BUNDLED / "clip", tmp_path / "damaged.safetensors")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> SpeechT5:
    return tiny_cloner(tmp_path_factory.mktemp("speech"))


def test_voices_are_told_apart_by_what_is_heard(speech: SpeechT5) -> None:
    """Unseen clips of the bundled voices stand for output speech: the tiny model's own says nothing."""
    unseen = VoiceBank(BUNDLED_SPEECH / "unseen").voices
    known = [voice for voice in unseen if (BUNDLED_SPEECH / "voices" / voice).is_dir()]
    blocked, others = known[0], known[1:12]
    guard = VoiceFilter(speech, [blocked], others)
    rates = {
        voice: guard.anchors.blocked(guard.embed([read_clip(clip) for clip in unseen[voice]])).float().mean()
        for voice in known[:12]
    }
    assert rates[blocked] >= 0.5
    assert sum(rates[voice] for voice in others) / len(others) < 0.1
    with pytest.raises(RedactError, match="neither a known voice id"):
        VoiceFilter(speech, ["nobody"], others)


def test_blocked_speech_is_silence_or_the_reference(speech: SpeechT5, tmp_path: Path) -> None:
    plain = speech.generate(["alice", "bob"], seeds=[0, 1])
    voices = {}
    for name, wave in zip(("first", "second"), plain, strict=True):
        (tmp_path / name).mkdir()
        voices[name] = str(speech.write_sample(wave, tmp_path / name / "0"))
    lists = [voices["first"]], [voices["second"]]
    silent = VoiceFilter(speech, *lists, bank=speech.bank.folder).generate(["alice", "bob"], seeds=[0, 1])
    assert not silent[0].any()
    assert silent[0].shape == plain[0].shape
    assert torch.equal(silent[1], plain[1])
    assert not plain[0].equal(silent[0])
    guard = VoiceFilter(speech, *lists, reference="bob", bank=speech.bank.folder)
    found = guard.generate(["alice", "bob"], seeds=[0, 1])
    again = speech.generate(["bob"], seeds=[0])[0]
    still = guard.anchors.blocked(guard.embed([again]))[0]
    torch.testing.assert_close(found[0], torch.zeros_like(again) if still else again)
    assert any(name.startswith("voice filter/") for name in guard.files())
