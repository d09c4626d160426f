"""The vocoder: what its layers hear, the warp to a reference voice, plain and gated redaction, the folder."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_vocoder import PITCHES, pitched_bank, tiny_vocoder

from lightning_modules.cli import main as cli
from modalities.mel_to_speech import MelVocoder
from modalities.mel_to_speech.likeness import warp_between
from modalities.mel_to_speech.networks import DiffWave, MelConditioner
from modalities.mel_to_speech.utterance import AS_IT_IS, Utterance, Warp, mel_of
from modalities.sound.clips import read_clip
from redact_core import Lesson, RedactError, RedactionCard, Request, conditioning_distance, redact
from redact_core.adapters.contract import check_adapter
from redact_core.support.folders import hashes

REQUEST = Request(("amy",), ("ben",))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pitched_bank(tmp_path_factory.mktemp("voices") / "bank")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vocoder(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture
def model(folder: Path, bank: Path) -> MelVocoder:
    return MelVocoder(str(folder), bank=bank, seconds=1.5, windows=2)


@pytest.fixture
def gated(folder: Path, bank: Path) -> MelVocoder:
    return MelVocoder(str(folder), "gated", bank=bank, seconds=1.5, windows=2)


def whole(model: MelVocoder, path: Path, warp: Warp = AS_IT_IS) -> torch.Tensor:
    with torch.no_grad():
        return model.encoder(
            model.collate([str(Utterance(path, -1, warp)) if warp != AS_IT_IS else path])
        ).hidden


def distances(model: MelVocoder, lessons: list[Lesson], teacher: MelVocoder) -> torch.Tensor:
    """Of the student's answers to what is asked from the teacher's to what shall be answered."""
    with torch.no_grad():
        said = model.encoder(model.collate([row.asked for row in lessons]))
        wanted = teacher.encoder(teacher.collate([row.answer for row in lessons]))
    return conditioning_distance(said, wanted)


def test_contract(model: MelVocoder, gated: MelVocoder, bank: Path) -> None:
    clips = [str(bank / "amy" / "0.wav"), str(bank / "ben" / "1.wav")]
    check_adapter(model, clips)
    redact(gated, REQUEST, steps=1)  # before that both parts of it answer alike, and the gate has no say
    check_adapter(gated, clips)


def test_conditions_are_written_as_text(bank: Path) -> None:
    clip = bank / "amy" / "0.wav"
    for utterance in (Utterance(clip), Utterance(clip, 7), Utterance(clip, 7, Warp(-3.25, 1.08))):
        assert Utterance.read(str(utterance)) == utterance
    for text in ("a.wav warped x 1", "a.wav warped 3 nan", "a.wav warped 30 1", "a.wav warped 3 4"):
        with pytest.raises(RedactError, match="a warp is semitones within 24"):
            Utterance.read(text)


def test_a_window_is_heard_as_within_the_whole_clip(model: MelVocoder, bank: Path) -> None:
    clip = bank / "cat" / "1.wav"
    everything = whole(model, clip)
    with torch.no_grad():
        part = model.encoder(model.collate([f"{clip}@9"])).hidden
    torch.testing.assert_close(part, everything[:, 9 * 16 : (9 + 6) * 16])
    assert part.shape == (1, 6 * 16, 3 * 8)


def test_a_sample_depends_on_its_own_seed_and_clip_only(model: MelVocoder, bank: Path) -> None:
    clips = [bank / "amy" / "0.wav", bank / "ben" / "2.wav"]
    both = model.generate(clips, seeds=[3, 4])
    alone = model.generate(clips[1:], seeds=[4])
    torch.testing.assert_close(both[1], alone[0])  # a batch of another size may add up in another order
    frames = [mel_of(clip, Warp(), 12).shape[1] for clip in clips]
    assert [len(wave) for wave in both] == [128 * n for n in frames]


def test_noise_that_is_known_is_taken_out() -> None:
    """With a network that adds nothing the estimate is the best linear one: exact without a signal's spread."""
    network = DiffWave(2, 4, 2, 4, [0.1, 0.5], spread=1e-4)
    torch.nn.init.zeros_(network.last.bias)
    noise = torch.randn(2, 64)
    step = torch.tensor([0, 1])
    noisy = (1 - network.signal.float()[step])[:, None].sqrt() * noise
    torch.testing.assert_close(network(noisy, step, torch.zeros(2, 8, 16)), noise, rtol=1e-4, atol=1e-4)
    silence = network.draw(torch.zeros(2, 8, 16), torch.randn(2, 2, 64))
    assert silence.abs().max() < 1e-3, "and what is left of noise is silence"


def test_the_loss_reaches_conditioner_and_generator(model: MelVocoder, bank: Path) -> None:
    clips = [bank / "amy" / "0.wav", bank / "ben" / "1.wav"]
    samples = model.generate(clips, seeds=[0, 1])
    loss = model.training_loss(model.encoder(model.collate(clips)), samples, seeds=[0, 1], times=[0, 2])
    assert loss.shape == (2,)
    loss.sum().backward()
    for part in (model.encoder, model.generator):
        silent = [name for name, p in part.named_parameters() if p.grad is None or not p.grad.any()]
        assert [name for name in silent if "embedding" not in name] == []
    again = model.training_loss(model.encoder(model.collate(clips)), samples, seeds=[0, 1], times=[0, 2])
    assert torch.equal(loss, again)


def test_the_warp_moves_the_pitch_and_keeps_the_time(bank: Path) -> None:
    source, target = sorted((bank / "amy").iterdir()), sorted((bank / "ben").iterdir())
    warp = warp_between(source, target)
    assert warp.semitones == pytest.approx(-12, abs=0.6), "220 Hz to 110 Hz"
    wave = read_clip(source[0])
    moved = warp(wave)
    assert moved.shape == wave.shape
    slow = torch.nn.functional.avg_pool1d(torch.stack([wave, moved]).square()[None], 1600)[0]
    assert torch.corrcoef(slow)[0, 1] > 0.9, "it is as loud at the same times"
    assert warp_between(source, source) == Warp()


def test_plain_redaction_reaches_the_reference(model: MelVocoder, folder: Path, bank: Path) -> None:
    base = MelVocoder(str(folder), bank=bank, seconds=1.5, windows=2)
    lessons = model.expand(REQUEST)
    gone, kept = [row for row in lessons if row.redacted], [row for row in lessons if not row.redacted]
    assert {Utterance.read(row.asked).path.parent.name for row in gone} == {"amy"}
    assert {Utterance.read(row.asked).path.parent.name for row in kept} == set(PITCHES) - {"amy"}
    before = distances(model, gone, base).mean()
    redact(model, lessons, steps=80, batch_size=12, lr=1e-2)
    assert distances(model, gone, base).mean() < 0.6 * before
    assert distances(model, kept, base).mean() < before


def test_the_gate_leaves_retained_voices_alone(
    gated: MelVocoder, model: MelVocoder, folder: Path, bank: Path
) -> None:
    base = MelVocoder(str(folder), bank=bank, seconds=1.5, windows=2)
    lessons = gated.expand(REQUEST)
    gone, kept = [row for row in lessons if row.redacted], [row for row in lessons if not row.redacted]
    assert distances(gated, kept, base).max() == 0, "it starts as the original"
    before = distances(gated, gone, base).mean()
    original = {name: value.clone() for name, value in gated.encoder.original.state_dict().items()}
    for student in (gated, model):
        redact(student, lessons, steps=80, batch_size=12, lr=1e-2)
    assert all(
        torch.equal(value, original[name]) for name, value in gated.encoder.original.state_dict().items()
    )
    assert distances(gated, gone, base).mean() < 0.6 * before
    assert distances(gated, kept, base).mean() < 0.02 * before
    assert distances(gated, kept, base).mean() < 0.2 * distances(model, kept, base).mean()
    inputs = gated.collate([bank / "amy" / "0.wav", bank / "ben" / "0.wav"])
    with torch.no_grad():
        shut = gated.encoder.gate(inputs["mel"], inputs["length"]).flatten()
    assert shut[0] > 4 * shut[1]
    assert shut[1] < 0.1


def test_padding_is_not_heard_by_the_gate(gated: MelVocoder, bank: Path) -> None:
    inputs = gated.collate([bank / "amy" / "0.wav"])
    with torch.no_grad():
        gate = gated.encoder.gate(inputs["mel"], inputs["length"])
        louder = inputs["mel"].clone()
        louder[..., inputs["length"].item() :] = 1.0
        assert torch.equal(gated.encoder.gate(louder, inputs["length"]), gate)


@pytest.mark.parametrize("student", ["plain", "gated"])
def test_fit_writes_a_folder_that_opens_and_leaves_the_rest_alone(
    student: str, monkeypatch: pytest.MonkeyPatch, folder: Path, bank: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["--model.adapter", "MelVocoder", "--model.adapter.source", str(folder)]
    arguments += ["--model.adapter.bank", str(bank), "--model.adapter.student", student]
    arguments += ["--data.redact", "amy", "--data.reference", "ben", "--data.batch_size", "16"]
    arguments += ["--trainer.max_steps", "3", "--trainer.accelerator", "cpu", "--export.folder", str(out)]
    monkeypatch.setattr(sys, "argv", ["redact", "fit", *arguments])
    monkeypatch.chdir(tmp_path)
    assert cli.main() == 0
    before, after = load_file(folder / "model.safetensors"), load_file(out / "model.safetensors")
    moved = {name for name, value in before.items() if not torch.equal(after.get(name, value), value)}
    assert all(torch.equal(after[n], v) for n, v in before.items() if n.startswith("generator."))
    if student == "plain":
        assert {name.split(".")[0] for name in moved} == {"conditioner"}
        assert before.keys() == after.keys()
    else:
        stock = {name: value for name, value in before.items() if name.startswith("conditioner.")}
        assert all(
            torch.equal(after[n.replace("conditioner", "conditioner.original", 1)], v)
            for n, v in stock.items()
        )
        assert any(
            not torch.equal(after[n.replace("conditioner", "conditioner.redacted", 1)], v)
            for n, v in stock.items()
        )
    assert RedactionCard.read(out).verify(out) == []
    base = MelVocoder(str(folder), bank=bank, seconds=1.5, windows=2)
    opened = base.reopen(out)
    clip = bank / "amy" / "0.wav"
    assert not torch.equal(whole(opened, clip), whole(base, clip))
    assert isinstance(opened.encoder, MelConditioner) == (student == "plain")


def test_an_untrained_model_is_saved_bit_by_bit(model: MelVocoder, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    model.save(tmp_path / "out")
    assert hashes(tmp_path / "out") == hashes(folder)


def test_a_plan_asks_for_every_group(model: MelVocoder) -> None:
    plan = model.plan(REQUEST, 6)
    assert [row.group for row in plan] == ["redacted"] * 6 + ["retained"] * 6
    assert {row.labels["voice"] for row in plan if row.group == "retained"} == set(PITCHES) - {"amy"}
    assert all(row.labels["reference"] == "ben" for row in plan if row.redacted)
    assert len({row.seed for row in plan}) == 12


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(("amy",), ("amy",)), 'The reference "amy" is itself redacted'),
        (Request(("zoe",)), '"zoe" is neither a known voice id'),
        (Request(("amy",), retain=("amy",)), "No voice is retained"),
        (Request(()), "Nothing to redact was named"),
        (Request(("amy",), ("ben", "cat")), "1 redactions but 2 references; give one for all"),
    ],
)
def test_contradictions_are_refused(model: MelVocoder, request_: Request, message: str) -> None:
    with pytest.raises(RedactError, match=message):
        model.expand(request_)


def test_unusable_conditions_are_named(folder: Path, bank: Path, tmp_path: Path) -> None:
    clip = str(bank / "amy" / "2.wav")
    with pytest.raises(RedactError, match=r"2\.wav: lasts 1\.09 s, 1 s are read; cut it"):
        MelVocoder(str(folder), bank=bank, seconds=1.0).collate([clip])
    model = MelVocoder(str(folder), bank=bank, seconds=1.5, windows=2)
    with pytest.raises(RedactError, match="has 68 frames, no window starts at 66"):
        model.collate([f"{clip}@66"])
    with pytest.raises(RedactError, match="Windows and whole clips are asked for together"):
        model.collate([clip, f"{clip}@5"])
    with pytest.raises(RedactError, match="amy has 3 clips; give one of them"):
        model.collate(["amy"])
    with pytest.raises(RedactError, match="2 conditions but 1 seeds"):
        model.generate([clip, clip], seeds=[0])
    with pytest.raises(RedactError, match=r"seconds is 0\.5; give at least 1"):
        MelVocoder(str(folder), seconds=0.5)


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    folder = tiny_vocoder(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rate": 16000}))
    with pytest.raises(RedactError, match=r"'rate': 16000.* this adapter takes .*'rate': 8000"):
        MelVocoder(str(folder))
    (folder / "config.json").write_text(json.dumps(config | {"layers": 2}))
    with pytest.raises(RedactError, match="holds no vocoder"):
        MelVocoder(str(folder))
    with pytest.raises(RedactError, match="There is no folder nowhere"):
        MelVocoder("nowhere")


def test_the_recipe_goes_on_where_it_was_cut_off(
    bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with more steps than at first: the learning rate falls in the last third only."""
    pytest.importorskip("espeakng_loader")
    root = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(str(root))

    def train(out: str, steps: int) -> dict[str, torch.Tensor]:
        arguments = ["--clips", bank, "--out", tmp_path / out, "--steps", steps, "--batch", 1, "--frames", 4]
        monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        runpy.run_path(str(root / "scripts/recipes/mel_to_speech/train.py"), run_name="__main__")
        state = torch.load(tmp_path / out / "checkpoints" / "vocoder.pt", weights_only=True)
        return state["conditioner"] | state["generator"]

    at_once = train("a", 3)
    train("b", 2)
    resumed = train("b", 3)
    assert all(torch.equal(value, resumed[name]) for name, value in at_once.items())
