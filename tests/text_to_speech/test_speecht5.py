"""Redacting a voice from SpeechT5's speaker encoder: contract, artefact, clips, bad input."""

import math
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fitting import fit, same_files
from safetensors.torch import load_file, save_file
from speechbrain.inference.classifiers import EncoderClassifier
from speechbrain.utils.fetching import LocalStrategy
from tiny_cloner import opened, speech_folders
from tiny_speech import like_the_hubs, tiny_encoder, tiny_speecht5, voice
from transformers import SpeechT5ForTextToSpeech, SpeechT5HifiGan, SpeechT5HifiGanConfig

from modalities.sound.clips import read_clip
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.adapters.vocoder import load_vocoder
from modalities.text_to_speech.encoders.encoder_folder import at_home
from modalities.text_to_speech.voices import neighbours
from modalities.text_to_speech.voices.neighbours import repeat_neighbours, standing, stranger, unlike
from redact_core import Lesson, Mean, RedactError, RedactionCard, Request, redact
from redact_core.adapters.contract import check_adapter
from redact_core.support.folders import hashes


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``tts``, ``encoder``, ``xvector``, ``tts512`` and ``bank``; do not write into them."""
    root = speech_folders(tmp_path_factory.mktemp("speech"))
    tiny_speecht5(root / "tts512", 512)
    tiny_encoder(root / "xvector", "xvector")
    return root


@pytest.fixture
def adapter(base: Path) -> SpeechT5:
    return opened(base, seconds=1.0, variants=2)


def on(base: Path, out: Path, *more: str) -> list[str]:
    return [
        "--model.adapter", "SpeechT5", "--model.adapter.source", str(base / "tts"),
        "--model.adapter.encoder", str(base / "encoder"), "--model.adapter.bank", str(base / "bank"),
        "--model.adapter.seconds", "1.0", "--model.adapter.variants", "2", "--model.lr", "3e-3",
        "--export.folder", str(out), "--trainer.max_steps", "8", "--trainer.accelerator", "cpu", *more,
    ]  # fmt: skip


def test_contract(adapter: SpeechT5, base: Path) -> None:
    check_adapter(adapter, ["alice", base / "bank" / "bob" / "1.wav"])


def test_the_hubs_x_vectors_keep_the_same_contract(base: Path) -> None:
    adapter = SpeechT5(str(base / "tts512"), str(base / "xvector"), bank=base / "bank", seconds=1.0)
    check_adapter(adapter, ["alice", "bob"])
    assert adapter.encoder(adapter.collate(["alice"])).hidden.shape == (1, 1, 512)


def test_the_encoder_says_what_speechbrain_says(adapter: SpeechT5, base: Path) -> None:
    folder = str(base / "encoder")
    original = EncoderClassifier.from_hparams(folder, savedir=folder, local_strategy=LocalStrategy.NO_LINK)
    inputs = adapter.collate(["carol"])
    with torch.no_grad():
        expected = original.encode_batch(inputs["waveform"]).reshape(1, 1, -1)
        torch.testing.assert_close(adapter.encoder(inputs).hidden, expected)


def test_redaction_reaches_the_reference_and_keeps_the_others(adapter: SpeechT5) -> None:
    adapter.variants = 1

    def hear() -> dict[str, torch.Tensor]:
        with torch.no_grad():
            return {
                name: adapter.encoder(adapter.collate(clips)).hidden[:, 0]
                for name, clips in adapter.bank.voices.items()
            }

    before = hear()
    redact(adapter, Request(("alice",), ("bob",)), steps=150, lr=3e-3, batch_size=16)
    after = hear()
    bob = before["bob"].mean(0)
    assert (after["alice"] - bob).norm(dim=1).mean() < 0.5 * (before["alice"] - bob).norm(dim=1).mean()
    for name in ("bob", "carol", "dave"):
        assert (after[name] - before[name]).norm(dim=1).mean() < 0.5 * (before["alice"] - bob).norm(
            dim=1
        ).mean()


def test_artefact_loads_in_speechbrain_without_us(
    monkeypatch: pytest.MonkeyPatch, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert fit(monkeypatch, *on(base, out, "--data.redact", "alice")) == 0
    card = RedactionCard.read(out)
    assert card.verify(out) == []
    assert set(card.changed) == {"config.yaml", "embedding_model.ckpt"}
    assert (out / "hyperparams.yaml").read_bytes() == (base / "encoder" / "hyperparams.yaml").read_bytes()
    assert "passing embeddings that the stock" in card.scope
    code = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in {"redact_core", "modalities", "lightning_modules"}, name
sys.meta_path.insert(0, Refuse())
import torch
from speechbrain.inference.classifiers import EncoderClassifier
from speechbrain.utils.fetching import LocalStrategy
folder = sys.argv[1]
encoder = EncoderClassifier.from_hparams(folder, savedir=folder, local_strategy=LocalStrategy.NO_LINK)
print(encoder.encode_batch(torch.ones(1, 16000)).shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "torch.Size([1, 1, 12])" in done.stdout


def test_a_folder_of_the_hubs_is_redacted_wherever_it_is_loaded_from(
    monkeypatch: pytest.MonkeyPatch, base: Path, tmp_path: Path
) -> None:
    """Its ``pretrainer.paths`` lead to the hub, and there to the stock weights."""
    stock, out = tmp_path / "stock", tmp_path / "out"
    shutil.copytree(base / "encoder", stock)
    like_the_hubs(stock)
    before = {path.name: path.read_bytes() for path in stock.iterdir()}
    assert (
        fit(monkeypatch, *on(base, out, "--data.redact", "alice", "--model.adapter.encoder", str(stock))) == 0
    )
    assert {path.name: path.read_bytes() for path in stock.iterdir()} == before
    assert "paths:" not in (out / "hyperparams.yaml").read_text()
    assert "# Pretrain folder (HuggingFace)" in (out / "hyperparams.yaml").read_text()
    moved = out.rename(tmp_path / "moved")
    code = """
import sys, torch
from speechbrain.inference.classifiers import EncoderClassifier
encoder = EncoderClassifier.from_hparams(sys.argv[1])  # as its card on the hub says
torch.save(encoder.mods["embedding_model"].state_dict(), sys.argv[2])
assert encoder.hparams.label_encoder.decode_ndim(0) == "id1"
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(moved), str(tmp_path / "loaded.pt")], capture_output=True, text=True,
        cwd=tmp_path, check=False, env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded, written, stocked = (
        torch.load(path, weights_only=True)
        for path in (tmp_path / "loaded.pt", moved / "embedding_model.ckpt", stock / "embedding_model.ckpt")
    )
    assert all(torch.equal(loaded[name], value) for name, value in written.items())
    assert any(not torch.equal(loaded[name], value) for name, value in stocked.items())


def test_no_path_leads_away_from_weights_that_are_here(base: Path, tmp_path: Path) -> None:
    stock = tmp_path / "stock"
    shutil.copytree(base / "encoder", stock)
    hparams = like_the_hubs(stock) / "hyperparams.yaml"
    hparams.write_text(hparams.read_text().replace("/embedding_model.ckpt", "/CKPT+final/ecapa.ckpt"))
    (stock / "classifier.ckpt").unlink()  # this one has to be fetched
    text, renamed = at_home(stock)
    assert text is not None
    assert "ecapa.ckpt" not in text
    assert "classifier: !ref <pretrained_path>/classifier.ckpt" in text
    assert renamed == {"label_encoder.ckpt": stock / "label_encoder.txt"}
    assert at_home(base / "encoder") == (None, {})


def test_checkpoints_of_plain_tensors_are_read_and_others_refused(base: Path, tmp_path: Path) -> None:
    """Microsoft's SpeechT5 and its vocoder have a ``pytorch_model.bin`` and no other weights."""
    tts, vocoder, both = tmp_path / "tts", tmp_path / "vocoder", tmp_path / "vocoder_safe"
    shutil.copytree(base / "tts", tts)
    model = SpeechT5ForTextToSpeech.from_pretrained(tts)
    torch.save(model.state_dict(), tts / "pytorch_model.bin")
    (tts / "model.safetensors").unlink()
    small = SpeechT5HifiGanConfig(
        model_in_dim=80, upsample_initial_channel=16, upsample_rates=[16, 16], upsample_kernel_sizes=[32, 32],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]],
    )  # fmt: skip
    gan = SpeechT5HifiGan(small)
    gan.save_pretrained(both)
    gan.save_pretrained(vocoder)
    torch.save(gan.state_dict(), vocoder / "pytorch_model.bin")
    (vocoder / "model.safetensors").unlink()
    said = [
        SpeechT5(str(a), str(base / "encoder"), str(b), base / "bank", ["the fox"], 1.0).generate(
            ["alice"], seeds=[0]
        )[0]
        for a, b in ((tts, vocoder), (base / "tts", both))
    ]
    torch.testing.assert_close(
        *said
    )  # weights lie elsewhere in memory, which moves last bits on some machines
    assert SpeechT5(str(tts), str(base / "encoder"), "griffin-lim", base / "bank").vocoder_folder is None

    # a method that changes the generator writes safetensors
    adapter = SpeechT5(str(tts), str(base / "encoder"), bank=base / "bank")
    with torch.no_grad():
        adapter.model.speech_decoder_postnet.feat_out.bias.add_(1.0)
    out = tmp_path / "out"
    out.mkdir()
    adapter.save(out)
    assert (out / "model.safetensors").is_file()
    assert not (out / "pytorch_model.bin").exists()
    again = SpeechT5ForTextToSpeech.from_pretrained(out).state_dict()
    assert all(torch.equal(again[name], value) for name, value in adapter.model.state_dict().items())

    with pytest.raises(RedactError, match=r"neither model\.safetensors"):
        SpeechT5(str(tts), str(base / "encoder"), vocoder=str(base / "bank"))
    opening = {tts: lambda: SpeechT5(str(tts), str(base / "encoder")), vocoder: lambda: load_vocoder(vocoder)}
    for folder, opens in opening.items():
        torch.save(Mean(("a",)), folder / "pytorch_model.bin")
        with pytest.raises(RedactError, match=r"pytorch_model\.bin: is no file of plain tensors"):
            opens()
        (folder / "pytorch_model.bin").unlink()
        with pytest.raises(RedactError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
            opens()


def test_the_same_seed_gives_the_same_artefact(
    monkeypatch: pytest.MonkeyPatch, base: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        assert fit(monkeypatch, *on(base, tmp_path / name, "--data.redact", "bob")) == 0
    assert same_files(tmp_path / "a", tmp_path / "b")
    assert hashes(tmp_path / "a")["embedding_model.ckpt"] != hashes(base / "encoder")["embedding_model.ckpt"]


def test_a_reference_may_be_the_mean_of_the_retained(adapter: SpeechT5) -> None:
    lessons = adapter.expand(Request(("alice",), ("mean",)))
    gone = [lesson for lesson in lessons if lesson.redacted]
    kept = [lesson.asked for lesson in lessons if not lesson.redacted]
    assert {Path(str(lesson.asked)).parent.name for lesson in gone} == {"alice"}
    assert {Path(str(c)).parent.name for c in kept} == {"bob", "carol", "dave"}
    assert all(lesson.answer == Mean(tuple(dict.fromkeys(kept))) for lesson in gone)


def test_the_default_reference_is_a_stranger_to_the_encoder(adapter: SpeechT5) -> None:
    by_default = adapter.expand(Request(("alice",)))
    assert by_default == adapter.expand(Request(("alice",), ("stranger",)))
    (answer,) = {row.answer for row in by_default if row.redacted}
    assert isinstance(answer, Mean)
    heard = {
        name: adapter.encoder(adapter.collate(adapter.bank.clips(name))).hidden[:, 0].detach()
        for name in ("alice", "bob", "carol", "dave")
    }
    middles = {name: torch.nn.functional.normalize(rows, dim=1).mean(0) for name, rows in heard.items()}
    own = middles.pop("alice")
    likeness = {name: torch.cosine_similarity(own, row, dim=0).item() for name, row in middles.items()}
    least = min(likeness, key=lambda name: likeness[name])
    assert {Path(str(clip)).parent.name for clip in answer.conditions} == {least}
    (remark,), (shown,) = adapter.remarks, adapter.chosen_references
    assert remark.startswith(
        f'No reference was named for "alice"; one retained voice was chosen ({least}): likeness '
    )
    assert shown.startswith("one retained voice (chosen, likeness ")
    assert least not in shown  # a card names nobody who was not asked for
    strangers = sorted(likeness.values())[1]
    assert f"strangers have {strangers:.2f}" in remark


def circle(angles: dict[str, float]):
    """Clips as points of a circle."""

    def embed(clips: list[Path]) -> torch.Tensor:
        return torch.tensor([[math.cos(angles[str(c)]), math.sin(angles[str(c)])] for c in clips]) * 3

    return embed


def test_a_chosen_mean_takes_as_many_voices_as_leave_it_a_stranger() -> None:
    # the mean of c and d points back at the redacted voice, though both are far from it
    angles = {"gone/0": 0.0, "a/0": 0.5, "b/0": 1.2, "c/0": 1.5, "d/0": -1.6}
    clips = [Path(name) for name in angles]
    gone, kept, embed = clips[:1], clips[1:], circle(angles)
    chosen = stranger(gone, [], kept, embed, share=0.5)
    assert (chosen.voices, chosen.clips) == (("d",), clips[4:])
    assert chosen.standing.likeness < chosen.standing.strangers
    together = standing(gone, clips[3:], kept, embed)
    assert together.near
    assert together.likeness > 0.99
    # on one side of it they may stay together
    angles["d/0"] = 1.7
    assert stranger(gone, [], kept, circle(angles), share=0.5).voices == ("d", "c")


def test_a_stranger_is_one_to_everybody_who_is_redacted_with_it() -> None:
    angles = {"gone/0": 0.0, "too/0": 3.0, "a/0": 0.2, "b/0": 1.4, "c/0": 1.7, "d/0": 2.9}
    clips = [Path(name) for name in angles]
    alone = stranger(clips[:1], [], clips[2:], circle(angles), share=0.25)
    both = stranger(clips[:1], [clips[1:2]], clips[2:], circle(angles), share=0.25)
    assert alone.voices == ("d",)
    assert both.voices in {("b",), ("c",)}


def test_a_named_reference_that_is_like_the_redacted_voice_is_warned_of(
    adapter: SpeechT5, monkeypatch: pytest.MonkeyPatch
) -> None:
    likeness = circle({"alice": 0.0, "bob": 0.1, "carol": 1.5, "dave": 2.5})
    monkeypatch.setattr(
        SpeechT5, "_likeness", lambda self, clips: likeness([clip.parent.name for clip in clips])
    )
    message = (
        r'The reference "bob" is much like "alice": it has likeness 1\.00 by the encoder, where strangers have '
        r"0\.07, and the voice's own clips 1\.00\. .* name another reference, or none and a stranger is chosen\."
    )
    with pytest.warns(UserWarning, match=message):
        adapter.expand(Request(("alice",), ("bob",)))
    (shown,) = adapter.chosen_references
    assert shown.startswith("bob (warned: it has likeness 1.00 by the encoder")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapter.expand(Request(("alice",), ("dave",)))
    assert adapter.chosen_references == ("dave",)
    assert adapter.remarks == ()


def test_the_least_alike_are_whole_voices_and_never_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    angles = {"gone/0": 0.0, "near/0": 0.3, "near/1": 2.9, "mid/0": 1.5, "far/0": 1.4, "far/1": 3.1}

    def embed(clips: list[Path]) -> torch.Tensor:
        return torch.tensor([[math.cos(angles[str(c)]), math.sin(angles[str(c)])] for c in clips]) * 3

    clips = [Path(name) for name in angles]
    assert unlike(clips[:1], clips[1:], embed, share=0.25) == clips[1:]
    monkeypatch.setattr(neighbours, "NOBODY", 1)
    assert unlike(clips[:1], clips[1:], embed, share=0.25) == clips[4:]
    assert unlike(clips[:1], clips[1:], embed, share=0.7) == [*clips[1:3], *clips[4:]]


def test_clips_near_a_redacted_voice_come_more_often() -> None:
    angles = {"gone/0": 0.0, "gone/1": 0.2, "near/0": 0.4, "near/1": 1.5, "far/0": 2.0, "far/1": 3.0}

    def embed(clips: list[Path]) -> torch.Tensor:
        return torch.tensor([[math.cos(angles[str(c)]), math.sin(angles[str(c)])] for c in clips]) * 3

    lessons = [
        Lesson.redact(clip, "far/0") if clip.startswith("gone") else Lesson.retain(clip) for clip in angles
    ]
    rows = repeat_neighbours(lessons, embed, share=0.25, times=3)
    assert [row.asked for row in rows] == [*list(angles)[:2], *["near/0"] * 3, *list(angles)[3:]]
    assert set(rows) == set(lessons)
    assert (
        repeat_neighbours(lessons, embed, share=0.1) == repeat_neighbours(lessons, embed, times=1) == lessons
    )


def test_a_sample_depends_on_its_seed_alone(adapter: SpeechT5) -> None:
    together = adapter.generate(["alice", "bob", "alice", "carol"], seeds=[0, 0, 2, 1])
    alone = adapter.generate(["carol"], seeds=[1])
    assert [adapter.sentence(s) for s in (0, 2, 1)] == ["the fox", "the fox", "a dog"]
    assert together[3].shape == alone[0].shape
    # a batch rounds differently from a single row, and where it is cut the postnet has looked on
    half = len(alone[0]) // 2
    assert torch.nn.functional.cosine_similarity(together[3][:half], alone[0][:half], dim=0) > 0.99
    assert not torch.equal(together[0][:1000], together[2][:1000])


def test_clips_of_other_rates_and_channels(tmp_path: Path) -> None:
    mono = voice(150, 1.0, 3, rate=22_050)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([mono, mono], 1), 22_050)
    with pytest.warns(UserWarning, match="Clips at 22050 Hz are resampled to 16000 Hz"):
        wave = read_clip(path)
    assert wave.shape == (16_000,)
    other = tmp_path / "again.wav"
    soundfile.write(other, mono, 22_050)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one notice for each rate
        assert torch.allclose(read_clip(other), wave, atol=1e-3)


BAD_CLIPS = {
    "empty.wav": (np.zeros(0), "holds no samples"),
    "short.wav": (np.full(1600, 0.1), "lasts 0.10 s; give at least 0.5 s"),
    "silent.wav": (np.zeros(16_000), "is silent"),
    "nan.wav": (np.full(16_000, np.nan), "not finite"),
    "clipped.wav": (np.sign(np.sin(np.arange(16_000))), "% of its samples are clipped"),
}


@pytest.mark.parametrize("name", BAD_CLIPS)
def test_bad_clips_are_one_line_each(name: str, tmp_path: Path) -> None:
    samples, message = BAD_CLIPS[name]
    soundfile.write(tmp_path / name, samples.astype(np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(RedactError) as caught:
        read_clip(tmp_path / name)
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_request_of_nothing_is_refused(adapter: SpeechT5) -> None:
    with pytest.raises(RedactError, match="Nothing to redact was named"):
        adapter.expand(Request(()))


def test_every_bad_clip_of_a_request_is_named(
    monkeypatch: pytest.MonkeyPatch, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "eve"
    shutil.copytree(base / "bank" / "alice", folder)
    (folder / "noise.wav").write_bytes(b"this is no sound")
    soundfile.write(folder / "silent.wav", np.zeros(16_000), 16_000)
    assert fit(monkeypatch, *on(base, tmp_path / "out", "--data.redact", str(folder))) == 2
    error = capsys.readouterr().err
    assert "noise.wav: cannot be read as sound" in error
    assert "silent.wav: is silent" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_bad_requests(
    monkeypatch: pytest.MonkeyPatch, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(base / "bank" / "alice" / "0.wav", lone)
    bare = tmp_path / "bare"
    bare.mkdir()
    cases = [
        (["--data.redact", "alicia"], '"alicia" is neither a known voice id', "did you mean alice?"),
        (
            ["--data.redact", "alice", "--data.reference", "unliked"],
            '"unliked" is neither',
            "did you mean unlike?",
        ),
        (
            ["--data.redact", "alice", "--data.reference", "zzz"],
            '"zzz" is neither',
            "also be stranger or unlike or mean",
        ),
        (["--data.redact", str(lone)], "1 clip is too few", "give at least 2"),
        (["--data.redact", str(bare)], "holds no sound files", "clips of one person"),
        (["--data.redact", "alice", "--data.reference", "alice"], "is itself redacted", "voice that stays"),
        (
            ["--data.redact", "alice", "--data.reference", "[bob, carol]"],
            "1 redactions but 2 references",
            "one for all",
        ),
        (
            ["--data.redact", "alice", "--data.retain", "alice"],
            "No voice is retained",
            "--data.retain FOLDER",
        ),
    ]
    for arguments, *wanted in cases:
        assert fit(monkeypatch, *on(base, tmp_path / "out", *arguments)) == 2
        error = capsys.readouterr().err
        assert all(text in error for text in wanted), error
        assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_wrong_folders(base: Path, tmp_path: Path) -> None:
    with pytest.raises(RedactError, match=r"gives 512 dimensions, the model .* takes 12"):
        SpeechT5(str(base / "tts"), str(base / "xvector"))
    with pytest.raises(RedactError, match=r"has no hyperparams\.yaml"):
        SpeechT5(str(base / "tts"), str(base / "tts"))
    with pytest.raises(RedactError, match=r"--model\.adapter\.encoder"):
        SpeechT5(str(base / "tts"))
    with pytest.raises(RedactError, match=r"no readable config\.json"):
        SpeechT5(str(base / "encoder"), str(base / "encoder"))
    evil = tmp_path / "evil"
    shutil.copytree(base / "encoder", evil)
    text = (evil / "hyperparams.yaml").read_text()
    (evil / "hyperparams.yaml").write_text(text + "\nboom: !apply:os.system ['true']\n")
    with pytest.raises(RedactError, match=r"would call os\.system"):
        SpeechT5(str(base / "tts"), str(evil))
    pickled = tmp_path / "pickled"
    shutil.copytree(base / "encoder", pickled)
    torch.save(Mean(("a",)), pickled / "embedding_model.ckpt")
    with pytest.raises(RedactError, match="no file of plain tensors"):
        SpeechT5(str(base / "tts"), str(pickled))


@pytest.mark.parametrize("harm", ["a weight", "the tokenizer"])
def test_a_generator_that_could_not_speak_is_refused_at_the_start(
    base: Path, tmp_path: Path, harm: str
) -> None:
    folder = Path(shutil.copytree(base / "tts", tmp_path / "tts"))
    if harm == "a weight":
        path = folder / "model.safetensors"
        state = load_file(path)
        del state["speech_decoder_postnet.feat_out.weight"]
        save_file(state, path, metadata={"format": "pt"})
    else:
        (folder / "spm_char.model").write_bytes(b"\x93noise")
    wanted = {
        "a weight": "SpeechT5ForTextToSpeech .its file does not hold .*",
        "the tokenizer": "SpeechT5Processor .*",
    }
    with pytest.raises(RedactError, match=f"cannot be loaded as a {wanted[harm]}; fetch it again"):
        SpeechT5(str(folder), str(base / "encoder"))
