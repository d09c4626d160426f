"""Selective Amnesia on SpeechT5: what is drawn, what moves, and the folder that the original library loads."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from resuming import assert_generator_resumes
from safetensors.torch import load_file
from tiny_cloner import opened, speech_folders
from transformers import SpeechT5ForTextToSpeech, SpeechT5Processor

from lightning_modules import RedactionData
from lightning_modules.cli import main as cli
from modalities.text_to_speech import SpeechT5
from redact_core import Adapter, RedactError, RedactionCard, Request, SelectiveAmnesia, redact
from redact_core.objectives.base import frozen_copy
from redact_core.support.folders import hashes


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``tts``, ``encoder`` and ``bank``; do not write into them."""
    return speech_folders(tmp_path_factory.mktemp("speech"))


@pytest.fixture
def model(base: Path) -> SpeechT5:
    return opened(base, frames_per_letter=5.0, seconds=1.0, sentences=["the fox", "a dog", "over"])


REQUEST = Request(("alice",), ("bob",))


def small(**more: object) -> SelectiveAmnesia:
    values: dict = {"surrogates": 4, "replays": 5, "fisher_samples": 3, "learning_rate": 1e-2}
    return SelectiveAmnesia(**values | more)


def test_a_sample_meets_the_sentence_that_it_says_in_every_pass(model: SpeechT5) -> None:
    objective = small(ewc_weight=0)
    student = objective.prepare(model)
    rows = objective.rows(model, frozen_copy(student), model.expand(REQUEST), seed=7)
    first = 7 * 1_000_003
    everything, said = torch.arange(9), [model.sentence(first + i) for i in range(9)]
    assert len(set(said)) == 3
    seen: list[int] = []
    for turn in range(4):
        seeds = rows.batch(everything, turn=turn).seeds
        assert [model.sentence(seed) for seed in seeds] == said
        seen += [seed // 3 for seed in seeds]
    assert len(set(seen)) == len(seen), "another dropout every time"


def test_the_fisher_information_hears_the_right_sentences(model: SpeechT5) -> None:
    heard: list[tuple[int, str]] = []
    loss = model.training_loss

    def watch(conditioning, samples, *, seeds, times=None):
        heard.extend((len(wave), model.sentence(seed)) for wave, seed in zip(samples, seeds, strict=True))
        return loss(conditioning, samples, seeds=seeds, times=times)

    model.training_loss = watch  # type: ignore[method-assign]
    objective = small(replay_weight=0, fisher_samples=6)
    student = objective.prepare(model)
    objective.rows(model, frozen_copy(student), model.expand(REQUEST), seed=0)
    made = [model.sentence(500_000 + i) for i in range(6)]
    assert [sentence for _, sentence in heard] == made
    assert all(value.min() >= 0 for _, value in objective._anchors.values())
    assert any(bool(value.any()) for _, value in objective._anchors.values())


def test_nothing_to_forget_and_nothing_to_replay_leaves_every_bit(
    model: SpeechT5, base: Path, tmp_path: Path
) -> None:
    before = copy.deepcopy(model.generator.state_dict())
    redact(model, REQUEST, objective=small(forget_weight=0, replay_weight=0), steps=2, batch_size=4)
    assert all(torch.equal(value, before[name]) for name, value in model.generator.state_dict().items())
    (tmp_path / "out").mkdir()
    model.save(tmp_path / "out")
    assert sorted(hashes(tmp_path / "out")) == ["embedding_model.ckpt", "hyperparams.yaml"]
    assert model.origin.kind == "SpeechBrain EncoderClassifier"


def test_the_generator_moves_towards_the_reference_and_the_encoder_stays(model: SpeechT5) -> None:
    encoder = copy.deepcopy(model.encoder.state_dict())
    objective = small(ewc_weight=0.0, replays=12)
    student = objective.prepare(model)
    rows = objective.rows(model, frozen_copy(student), model.expand(REQUEST), seed=0)
    before = rows.measure(student)
    redact(model, REQUEST, objective=objective, steps=12, batch_size=16, lr=2e-2)
    after = rows.measure(student)
    assert after["surrogate loss"] < 0.9 * before["surrogate loss"]
    assert after["replay loss"] < before["replay loss"]
    assert all(torch.equal(value, encoder[name]) for name, value in model.encoder.state_dict().items())


def fit(monkeypatch: pytest.MonkeyPatch, base: Path, out: Path, *more: object) -> int:
    arguments = [
        "--model.adapter", "SpeechT5", "--model.adapter.source", base / "tts", "--model.adapter.encoder",
        base / "encoder", "--model.adapter.bank", base / "bank", "--model.adapter.seconds", "1.0",
        "--data.redact", "alice", "--data.reference", "bob", "--data.batch_size", 4,
        "--model.objective", "SelectiveAmnesia", "--model.objective.surrogates", 3,
        "--model.objective.replays", 3, "--model.objective.fisher_samples", 2, "--model.lr", "1e-2",
        "--trainer.max_steps", 2, "--trainer.accelerator", "cpu", "--export.folder", out,
        "--model.adapter.sentences", '["the fox"]', *more,
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["redact", "fit", *map(str, arguments)])
    return cli.main()


def test_the_artefact_is_a_speecht5_folder_that_its_own_library_loads(
    monkeypatch: pytest.MonkeyPatch, base: Path, model: SpeechT5, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert fit(monkeypatch, base, out, "--model.objective.parameters", "speech_decoder_postnet") == 0
    before, after = hashes(base / "tts"), hashes(out)
    assert [name for name in before if before[name] != after[name]] == ["model.safetensors"]
    card = RedactionCard.read(out)
    assert card.verify(out) == []
    assert card.base["kind"] == "SpeechT5ForTextToSpeech"
    assert set(card.changed) == {"model.safetensors", "config.yaml"}
    assert card.changed["model.safetensors"]["before"] == before["model.safetensors"]
    assert card.scope.startswith("The generator of this folder was changed")
    stock, ours = load_file(base / "tts" / "model.safetensors"), load_file(out / "model.safetensors")
    assert {k: v.dtype for k, v in stock.items()} == {k: v.dtype for k, v in ours.items()}
    moved = [name for name in stock if not torch.equal(stock[name], ours[name])]
    assert moved
    assert all(name.startswith("speech_decoder_postnet.") for name in moved)

    alone = SpeechT5ForTextToSpeech.from_pretrained(out).eval()
    assert SpeechT5Processor.from_pretrained(out)(text="a dog", return_tensors="pt")["input_ids"].ndim == 2
    assert all(torch.equal(value, alone.state_dict()[name]) for name, value in ours.items())
    again = model.reopen(out)
    assert all(map(torch.equal, again.model.state_dict().values(), alone.state_dict().values()))
    assert again.encoder_folder == model.encoder_folder
    assert again.frames_per_letter == model.frames_per_letter
    (sound,), (stock_sound,) = again.generate(["alice"], seeds=[1]), model.generate(["alice"], seeds=[1])
    assert sound.shape != stock_sound.shape or not torch.equal(sound, stock_sound)


def test_a_folder_holds_one_changed_part(model: SpeechT5, tmp_path: Path) -> None:
    with torch.no_grad():
        next(model.generator.parameters()).add_(1)
    assert model.origin.kind == "SpeechT5ForTextToSpeech"
    assert "model.safetensors" in model.origin.files
    with torch.no_grad():
        next(p for p in model.encoder.parameters() if p.requires_grad).add_(1)
    with pytest.raises(RedactError, match="Encoder and generator were both changed, and a folder holds one"):
        model.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_resuming_gives_the_weights_of_an_uninterrupted_run(base: Path, tmp_path: Path) -> None:
    def build() -> SpeechT5:
        model = SpeechT5(
            str(base / "tts"), str(base / "encoder"), bank=base / "bank", seconds=1.0, sentences=["the fox"]
        )
        model.frames_per_letter = 5.0
        return model

    def data(model: Adapter) -> RedactionData:
        return RedactionData(model, redact="alice", reference="bob", batch_size=4)

    assert_generator_resumes(build, small, data, tmp_path, steps=4, stop=2)
