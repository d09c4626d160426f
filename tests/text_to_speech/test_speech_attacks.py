"""Attacks on voices: what they yield is heard, bounded, replayable, and depends on what is searched."""

import copy
from pathlib import Path

import pytest
import soundfile
import torch
from tiny_cloner import opened, speech_folders
from tiny_speech import voice
from torch.nn.functional import cosine_similarity

from lightning_modules.support.specs import build, spec_of
from modalities.sound.clips import read_clip
from modalities.text_to_speech import SpeechT5, attacks
from modalities.text_to_speech.attacks import (
    ChannelChange,
    ClipGradient,
    ClipSquare,
    EmbeddingInversion,
    EmbeddingSearch,
    Interpolation,
    Mixtures,
    OriginalEmbedding,
    PitchTempo,
    ShortCrops,
    SimilarVoices,
    UnseenClips,
)
from modalities.text_to_speech.attacks.channel_change import CHANGES as CHANNELS
from modalities.text_to_speech.attacks.clip_square import squares
from modalities.text_to_speech.attacks.pitch_tempo import CHANGES as TRANSFORMS
from modalities.text_to_speech.attacks.pitch_tempo import formants
from modalities.text_to_speech.attacks.voices import cloner, encode, targets, voice_of
from redact_core import Attack, Guard, PlanRow, RedactError
from redact_core import attacks as core_attacks
from redact_core.adapters.contract import ToyAdapter
from redact_core.attacks.with_encoder import with_encoder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = speech_folders(tmp_path_factory.mktemp("attacked"))
    for v, name in enumerate(("alice", "bob", "carol", "dave")):
        (root / "unseen" / name).mkdir(parents=True)
        for c in range(2):
            path = root / "unseen" / name / f"{c}.wav"
            soundfile.write(path, voice(110 + 45 * v, 1.3, 100 + 10 * v + c), 16_000)
    return root


@pytest.fixture(scope="module")
def base(root: Path) -> SpeechT5:
    return opened(root, frames_per_letter=2.0, seconds=0.8)


@pytest.fixture(scope="module")
def student(base: SpeechT5) -> SpeechT5:
    """Answers otherwise than the base: its last layers are another draw."""
    encoder = copy.deepcopy(base.encoder)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in encoder.parameters():
            if value.requires_grad:
                value += 0.3 * value.std(correction=0) * torch.randn(value.shape, generator=generator)
    return cloner(with_encoder(base, encoder))


@pytest.fixture(scope="module")
def rows(base: SpeechT5) -> list[PlanRow]:
    clips = base.bank.voices["alice"]
    return [PlanRow(str(clips[i]), "redacted", "voice", i, True, {"voice": "alice"}) for i in range(3)]


def every(root: Path, folder: Path) -> list[Attack]:
    return [
        UnseenClips(root / "unseen"),
        ShortCrops(clips=root / "unseen", folder=folder),
        ChannelChange(folder=folder),
        PitchTempo(folder=folder),
        ClipGradient(steps=2, folder=folder),
        ClipSquare(steps=2, folder=folder),
        SimilarVoices(),
        OriginalEmbedding(),
        Interpolation(),
        Mixtures(steps=3),
        EmbeddingSearch(steps=1, population=1),
        EmbeddingInversion(steps=2),
    ]


def test_each_gives_one_attempt_a_row_that_can_be_asked_and_repeated(
    root: Path, base: SpeechT5, student: SpeechT5, rows: list[PlanRow], tmp_path: Path
) -> None:
    asked, passed = list[str](), list[torch.Tensor]()
    for attack in every(root, tmp_path / "clips"):
        first, again = (attack(student, base, rows, seed=1) for _ in range(2))
        assert len(first) == len(rows), attack.name
        assert attack.budget
        for a, b in zip(first, again, strict=True):
            # a file's name ends in its content's digest, and a Fourier transform may differ in its last bits
            assert str(a.condition).rpartition("-")[0] == str(b.condition).rpartition("-")[0], attack.name
            if isinstance(a.condition, Path) and isinstance(b.condition, Path):
                assert torch.allclose(read_clip(a.condition), read_clip(b.condition), atol=1e-4), attack.name
            assert a.queries > 0
            if a.conditioning is None:
                assert a.condition is not None
                asked.append(str(a.condition))
            else:
                assert b.conditioning is not None
                assert torch.equal(a.conditioning.hidden, b.conditioning.hidden), attack.name
                assert a.conditioning.hidden.shape == (1, 1, 12)
                assert not a.conditioning.hidden.requires_grad
                passed.append(a.conditioning.hidden)
        for p in [*base.generator.parameters(), *student.encoder.parameters()]:
            assert p.grad is None, attack.name
    waves = student.collate(asked)["waveform"]
    assert torch.isfinite(waves).all()
    assert len(asked) == 7 * len(rows)
    assert len(passed) == 5 * len(rows)
    assert (tmp_path / "clips").is_dir()


def test_clips_outlive_the_attack_and_keep_every_bit(base: SpeechT5, rows: list[PlanRow]) -> None:
    path = Path(str(ChannelChange(("mu-law",))(base, base, rows[:1], seed=0)[0].condition))
    assert path.is_file()
    assert "mu-law" in path.name
    attack = ClipGradient()
    wave = torch.randn(9000, generator=torch.Generator().manual_seed(0)) / 9
    assert torch.equal(read_clip(attack.write(0, "x", wave)), wave)
    assert attack.write(0, "x", wave) != attack.write(0, "x", wave / 2)


def test_clips_that_taught_are_not_unseen(root: Path, base: SpeechT5, rows: list[PlanRow]) -> None:
    found = {a.condition for a in UnseenClips(root / "unseen")(base, base, rows, seed=0)}
    assert found == set((root / "unseen" / "alice").glob("*.wav"))
    with pytest.raises(RedactError, match="no unseen clip of this voice is known"):
        UnseenClips(root / "bank")(base, base, rows, seed=0)
    with pytest.raises(RedactError, match="known for the bundled voices only"):
        UnseenClips()(base, base, rows, seed=0)


def test_crops_have_their_lengths(root: Path, base: SpeechT5, rows: list[PlanRow]) -> None:
    attack = ShortCrops((0.5, 1.0), clips=root / "unseen")
    lengths = [len(read_clip(Path(str(a.condition)))) for a in attack(base, base, rows, seed=0)]
    assert lengths == [8000, 16_000, 8000]


@pytest.mark.parametrize("name", [*CHANNELS, *TRANSFORMS])
def test_every_change_is_heard_and_is_still_a_clip(name: str, base: SpeechT5, rows: list[PlanRow]) -> None:
    attack = ChannelChange((name,)) if name in CHANNELS else PitchTempo((name,))
    (attempt,) = attack(base, base, rows[:1], seed=0)
    wave, changed = read_clip(Path(rows[0].condition)), read_clip(Path(str(attempt.condition)))
    assert torch.isfinite(changed).all()
    if name.startswith("tempo"):
        assert len(changed) == pytest.approx(len(wave) / float(name.split()[1]), rel=0.02)
        return
    assert len(changed) == len(wave)
    assert not torch.allclose(changed, wave, atol=1e-4)
    assert 0.3 < (changed.norm() / wave.norm()).item() < 3


def test_noise_has_its_snr(base: SpeechT5, rows: list[PlanRow]) -> None:
    (attempt,) = ChannelChange(("noise 10 dB",))(base, base, rows[:1], seed=0)
    wave, changed = read_clip(Path(rows[0].condition)), read_clip(Path(str(attempt.condition)))
    gain = (changed @ wave) / (wave @ wave)
    snr = 20 * torch.log10((gain * wave).norm() / (changed - gain * wave).norm())
    assert snr.item() == pytest.approx(10, abs=0.2)


def test_pitch_moves_the_pitch_and_formants_leave_it(rows: list[PlanRow]) -> None:
    wave = read_clip(Path(rows[0].condition))

    def peak(x: torch.Tensor) -> float:
        """The fundamental, by autocorrelation between 60 and 400 Hz."""
        power = torch.fft.rfft(x, 2 * len(x)).abs().square()
        lag = torch.fft.irfft(power)[40:266].argmax().item() + 40
        return 16_000 / lag

    assert peak(wave) == pytest.approx(110, rel=0.02)
    assert peak(TRANSFORMS["pitch +4"](wave)) == pytest.approx(110 * 2 ** (4 / 12), rel=0.03)
    assert peak(formants(1.1)(wave)) == pytest.approx(110, rel=0.02)

    def centre(x: torch.Tensor) -> float:
        power = torch.fft.rfft(x).abs().square()
        return ((power * torch.arange(len(power))).sum() / power.sum()).item()

    assert centre(formants(0.9)(wave)) < centre(wave) < centre(formants(1.1)(wave))


@pytest.mark.parametrize("carrier", ["own", "other"])
def test_the_gradient_moves_the_embedding_within_its_bound(
    carrier: str, base: SpeechT5, student: SpeechT5, rows: list[PlanRow]
) -> None:
    snr = 20.0
    wanted = targets(base, rows)
    attack = ClipGradient(snr, steps=20, carrier=carrier)  # type: ignore[arg-type]
    found = attack(student, base, rows, seed=0)
    clips = [Path(str(a.condition)) for a in found]
    moved = cosine_similarity(encode(student, clips).hidden[:, 0], wanted)
    for attempt, after in zip(found, moved.tolist(), strict=True):
        assert min(attempt.losses) == pytest.approx(1 - after, abs=1e-5)
        assert min(attempt.losses) < attempt.losses[0] - 0.02
        assert len(attempt.losses) == 21
    if carrier == "other":
        return
    before = student.collate([row.condition for row in rows])["waveform"].double()
    after = torch.stack([read_clip(clip) for clip in clips]).double()
    ratio = 20 * torch.log10(before.norm(dim=1) / (after - before).norm(dim=1))
    assert bool((ratio >= snr).all())
    assert bool((ratio < snr + 10).all())


def test_the_gradient_makes_another_voice_the_victims_on_an_unprotected_student(
    base: SpeechT5, rows: list[PlanRow]
) -> None:
    """The base attacked with clips of others: it hears more of alice than before."""
    wanted = targets(base, rows)
    found = ClipGradient(20, steps=20, carrier="other")(base, base, rows, seed=0)
    before = torch.tensor([1 - a.losses[0] for a in found])
    after = cosine_similarity(encode(base, [Path(str(a.condition)) for a in found]).hidden[:, 0], wanted)
    assert bool((1 - after < 0.7 * (1 - before)).all())


def test_more_restarts_are_never_worse(base: SpeechT5, student: SpeechT5, rows: list[PlanRow]) -> None:
    one, three = (ClipGradient(30, 5, n)(student, base, rows, seed=0) for n in (1, 3))
    assert all(min(b.losses) <= min(a.losses) + 1e-6 for a, b in zip(one, three, strict=True))
    assert three[0].queries == 18


@pytest.mark.parametrize("carrier", ["own", "other"])
def test_random_search_lowers_the_gradients_loss_within_its_bound(
    carrier: str, base: SpeechT5, student: SpeechT5, rows: list[PlanRow]
) -> None:
    snr = 20.0
    attack = ClipSquare(snr, steps=40, carrier=carrier)  # type: ignore[arg-type]
    found = attack(student, base, rows, seed=0)
    clips = [Path(str(a.condition)) for a in found]
    moved = cosine_similarity(encode(student, clips).hidden[:, 0], targets(base, rows))
    first = ClipGradient(snr, steps=1, carrier=carrier)(student, base, rows, seed=0)  # type: ignore[arg-type]
    for attempt, gradient, after in zip(found, first, moved.tolist(), strict=True):
        assert attempt.queries == len(attempt.losses) == 41
        assert attempt.losses[0] == pytest.approx(gradient.losses[0], abs=1e-5), "both begin at the clip"
        assert list(attempt.losses) == sorted(attempt.losses, reverse=True)
        assert attempt.losses[-1] < attempt.losses[0] - 0.005
        assert attempt.losses[-1] == pytest.approx(1 - after, abs=1e-4)
    if carrier == "own":
        before = student.collate([row.condition for row in rows])["waveform"].double()
        after = torch.stack([read_clip(clip) for clip in clips]).double()
        assert bool((20 * torch.log10(before.norm(dim=1) / (after - before).norm(dim=1)) >= snr).all())
    asked = attack(base, base, rows, seed=0)
    assert [a.losses for a in asked] != [a.losses for a in found], "it asks the attacked encoder"


def test_squares_take_their_share_of_the_spectrogram() -> None:
    generator = torch.Generator().manual_seed(0)
    for share in (0.04, 0.25):
        waves = squares(16, 16_000, share, generator)
        assert torch.allclose(waves.norm(dim=1), torch.ones(16), atol=1e-4)
        loud = waves.abs().view(16, 100, 160).amax(2) > 1e-3 * waves.abs().amax()
        assert loud.float().mean().item() == pytest.approx(share**0.5, abs=0.06)  # and the edges of windows


def test_similar_voices_are_the_nearest_that_stay(base: SpeechT5, rows: list[PlanRow]) -> None:
    found = SimilarVoices(1)(base, base, rows, seed=0)
    names = {Path(str(a.condition)).parent.name for a in found}
    alike = {
        name: (targets(base, rows)[0] @ targets(base, [PlanRow(name, "", "voice", 0, True)])[0]).item()
        for name in ("bob", "carol", "dave")
    }
    assert names == {max(alike, key=lambda name: alike[name])}


def test_the_original_embedding_is_the_bases(base: SpeechT5, student: SpeechT5, rows: list[PlanRow]) -> None:
    found = OriginalEmbedding()(student, base, rows, seed=0)
    for attempt, row in zip(found, rows, strict=True):
        assert attempt.conditioning is not None
        heard = encode(base, [row.condition]).hidden
        assert torch.allclose(attempt.conditioning.hidden, heard, atol=1e-5)


def test_interpolation_has_its_ends_and_a_flip(
    base: SpeechT5, student: SpeechT5, rows: list[PlanRow]
) -> None:
    ends = Interpolation((0.0, 1.0))(student, base, rows[:2], seed=0)
    for attempt, model, row in zip(ends, (student, base), rows, strict=False):
        assert attempt.conditioning is not None
        alike = cosine_similarity(attempt.conditioning.hidden[0], encode(model, [row.condition]).hidden[0])
        assert alike.item() == pytest.approx(1, abs=1e-5)
    attack = Interpolation()
    assert attack.flips(base, base, rows).eq(0).all()  # alice's clips are nearest to alice already
    other = cloner(with_encoder(base, Always(base, "dave")))
    flips = attack.flips(other, base, rows)
    assert bool(((flips > 0) & (flips < 1)).all())


class Always(torch.nn.Module):
    """Hears one voice in everything: a perfect redaction."""

    def __init__(self, base: SpeechT5, voice: str):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.said = encode(base, [voice])

    def forward(self, inputs):  # type: ignore[no-untyped-def]
        return self.said[torch.zeros(len(inputs["waveform"]), dtype=torch.long)]


def test_a_mixture_is_nearer_than_any_of_its_voices(
    base: SpeechT5, student: SpeechT5, rows: list[PlanRow]
) -> None:
    (attempt,) = Mixtures(voices=3, steps=100)(student, base, rows[:1], seed=0)
    assert attempt.losses[-1] <= attempt.losses[0]
    target = targets(base, rows[:1])[0]
    assert attempt.conditioning is not None
    alike = cosine_similarity(attempt.conditioning.hidden[0, 0], target, dim=0)
    assert alike.item() == pytest.approx(1 - attempt.losses[-1], abs=1e-2)
    alone = Mixtures(voices=1, steps=1)(student, base, rows[:1], seed=0)[0]
    assert attempt.losses[-1] <= alone.losses[0] + 1e-3


def test_the_searches_lower_what_they_search(base: SpeechT5, student: SpeechT5, rows: list[PlanRow]) -> None:
    found = EmbeddingSearch(steps=3, population=3)(student, base, rows[:2], seed=0)
    for attempt in found:
        assert len(attempt.losses) == 4
        assert attempt.queries == 10
        assert list(attempt.losses) == sorted(attempt.losses, reverse=True)
    assert any(a.losses[-1] < a.losses[0] for a in found)
    (attempt,) = EmbeddingInversion(steps=15, lr=0.05)(student, base, rows[:1], seed=0)
    recording = base.generate([rows[0].condition], seeds=[0])
    start = encode(student, [rows[0].condition])
    assert attempt.conditioning is not None
    with torch.no_grad():
        before, after = (
            sum(
                student.training_loss(x, recording, seeds=[student.redraw(0, k)]).item()
                for k in range(90, 98)
            )
            for x in (start, attempt.conditioning)
        )
    assert after < before


def test_rows_name_their_voice_in_many_ways(base: SpeechT5, root: Path) -> None:
    clip = base.bank.voices["bob"][0]
    for row, name in (
        (PlanRow("bob", "redacted", "voice", 0, True), "bob"),
        (PlanRow(str(clip), "redacted", "voice", 0, True), "bob"),
        (PlanRow("x.wav", "redacted", "voice", 0, True, {"voice": "carol"}), "carol"),
        (PlanRow("x.wav", "redacted", "voice", 0, True), ""),
    ):
        assert voice_of(base, row) == name


def test_guards_are_looked_through_and_other_adapters_refused(base: SpeechT5, rows: list[PlanRow]) -> None:
    class Open(Guard):
        def generate(self, conditions, *, seeds):  # type: ignore[no-untyped-def]
            return self.inner.generate(conditions, seeds=seeds)

    assert cloner(Open(base)) is base
    assert len(OriginalEmbedding()(Open(base), base, rows, seed=0)) == 3
    with pytest.raises(RedactError, match="ToyAdapter clones no voices from clips"):
        SimilarVoices()(ToyAdapter(), ToyAdapter(), rows, seed=0)


@pytest.mark.parametrize("suite", ["quick", "standard", "full"])
def test_suites_name_attacks_and_settings_that_there_are(suite: str) -> None:
    known = {name: getattr(module, name) for module in (attacks, core_attacks) for name in module.__all__}
    names: list[str] = []
    for entry in SpeechT5.suites[suite]:
        attack = build(Attack, spec_of(entry))
        assert attack.name.startswith(type(attack).__name__)
        assert isinstance(attack.adaptive, bool)
        assert attack.budget
        names.append(attack.name)
    assert len(names) == len(set(names))
    if suite == "full":
        # a voice has no seeds to search, they choose the sentence; EmbeddingInversion moves the hidden state
        assert {name.partition("-")[0] for name in names} == set(known) - {"SeedSearch", "HiddenState"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ShortCrops((0.1,)), "give lengths of at least 0.5 s"),
        (lambda: ChannelChange(("radio",)), 'There is no change "radio"'),
        (lambda: PitchTempo(("pitch +9",)), r'There is no change "pitch \+9"'),
        (lambda: ClipGradient(snr=-3), "snr is -3; give 0 to 100 dB"),
        (lambda: ClipGradient(steps=0), "steps is 0; give at least 1"),
        (lambda: ClipSquare(snr=101), "snr is 101; give 0 to 100 dB"),
        (lambda: ClipSquare(share=2), "share is 2; give a part above 0, at most 1"),
        (lambda: SimilarVoices(0), "voices is 0; give at least 1"),
        (lambda: Interpolation((2.0,)), "give shares of the original from 0 to 1"),
        (lambda: Mixtures(steps=0), "steps is 0; give at least 1"),
        (lambda: EmbeddingSearch(width=0), "width is 0; give a length above 0"),
        (lambda: EmbeddingInversion(lr=0), "lr is 0; give a rate above 0"),
    ],
)
def test_bad_settings_are_one_line(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RedactError, match=message):
        make()
