"""``redact verify`` of folders with gates of each kind, and without: it says what it looked at, and guesses nothing."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import redact as command
from tiny_speech import harmonic_bank, tiny_encoder, tiny_speecht5

from lightning_modules.cli.verify import ENCODERS
from modalities.text_to_image import StableDiffusion
from modalities.text_to_speech import SpeakerEncoder, SpeechT5
from redact_core import Adapter, Distillation, Lesson, Objective, Request, redact
from redact_core.gates import Gating, UnitGating

PROMPTS = [
    Lesson.redact("a zebra", "a violin"),
    Lesson.redact("one zebra", "one violin"),
    *(Lesson.retain(prompt) for prompt in ("a red dog", "two birds", "", "a house by the sea")),
]
UNITS = UnitGating(units=8, rounds=1, searched=2, search_steps=4, radius=0.1)
VOICE = Request(("p0",), ("p5",))


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return harmonic_bank(tmp_path / "bank")


@pytest.fixture
def pictures(tiny_sd: Path) -> StableDiffusion:
    return StableDiffusion(str(tiny_sd), steps=2)


@pytest.fixture
def cloner(bank: Path, tmp_path: Path) -> SpeechT5:
    base, encoder = tiny_speecht5(tmp_path / "tts"), tiny_encoder(tmp_path / "encoder")
    return SpeechT5(str(base), str(encoder), bank=bank, seconds=1.0, variants=2)


@pytest.fixture
def speakers(bank: Path, tmp_path: Path) -> SpeakerEncoder:
    return SpeakerEncoder(str(tiny_encoder(tmp_path / "stock")), bank, seconds=1.0, variants=2)


def written(
    model: Adapter, what: Request | list[Lesson], objective: Objective, folder: Path, steps: int | None = None
) -> Path:
    redact(model, what, objective=objective, steps=steps).save(folder)
    return folder


def verified(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Status of ``redact verify``, and its one line."""
    capsys.readouterr()
    status = command("verify", *arguments)
    printed = capsys.readouterr()
    (line,) = (printed.out + printed.err).splitlines()
    return status, line


def test_gating_units_of_a_prompt_encoder_are_no_gates_of_a_speaker_encoder(
    pictures: StableDiffusion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(pictures, PROMPTS, UNITS, tmp_path / "out")
    status, line = verified(capsys, folder)
    assert status == 0, line
    assert "files match the card of" in line
    assert line.endswith("; its gates were not looked for, hashes alone were compared.")


def test_of_a_trained_prompt_encoder_the_hashes_are_compared(
    pictures: StableDiffusion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(pictures, PROMPTS, Distillation(), tmp_path / "out", steps=2)
    status, line = verified(capsys, folder)
    assert status == 0, line
    assert "gates" not in line
    weights = next((folder / "text_encoder").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    status, line = verified(capsys, folder)
    assert status == 2
    assert line.endswith(f"text_encoder/{weights.name} was altered.")


@pytest.mark.parametrize("model", ["cloner", "speakers"])
def test_the_gate_of_a_cloner_and_of_a_speaker_encoder_is_looked_for(
    model: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(request.getfixturevalue(model), VOICE, Gating(), tmp_path / "out")
    status, line = verified(capsys, folder)
    assert status == 0, line
    assert line.endswith("; 1 gates are there.")


def test_a_list_of_clips_is_compared_where_gates_are_and_nowhere_else(
    pictures: StableDiffusion, speakers: SpeakerEncoder, tmp_path: Path, bank: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    listed = tmp_path / "list.csv"
    listed.write_text("id,clip\np0,bank/p0/0.wav\n")
    for model, what in ((pictures, PROMPTS), (speakers, VOICE)):
        folder = written(model, what, Distillation(), tmp_path / type(model).__name__, steps=2)
        assert verified(capsys, folder)[0] == 0
        status, line = verified(capsys, folder, "--list", listed, "--keep", bank)
        assert status == 2
        assert line.endswith(
            "has no gates behind a speaker encoder, so whether it redacts listed clips cannot be told; leave "
            "--list out, or ask 'redact evaluate'."
        )


def test_clips_are_compared_with_the_digests_of_a_card_that_lists_some(
    speakers: SpeakerEncoder, tmp_path: Path, bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, key, short = tmp_path / "list.csv", tmp_path / "key", tmp_path / "short"
    key.write_bytes(bytes(range(16)))
    short.write_bytes(b"short")
    result = redact(speakers, VOICE, objective=Gating())
    for disclosure in ("digest", "count"):
        result.save(tmp_path / disclosure, disclosure=disclosure, key=key)
    for person, expected in (
        (0, "1 clips of 1 withdrawn are changed"),
        (1, "is not among what was withdrawn"),
    ):
        listed.write_text(f"id,clip\np{person},bank/p{person}/0.wav\n")
        status, line = verified(capsys, tmp_path / "digest", "--list", listed, "--key", key)
        assert expected in line
        assert status == 2 * person
    status, line = verified(capsys, tmp_path / "count", "--list", listed, "--key", key)
    assert status == 2
    assert line.endswith(
        "The card lists no digests, so there is nothing to compare by a key; leave --key out."
    )
    status, line = verified(capsys, tmp_path / "digest", "--list", listed, "--key", short)
    assert status == 2
    assert line.endswith("the key has 5 bytes; give at least 16 random ones.")


def test_clips_are_looked_at_in_the_length_that_the_redaction_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Voices that go up and down, so that the first second of a clip is not like six."""
    draw, time, listed = np.random.default_rng(0), np.arange(7 * 16_000) / 16_000, tmp_path / "list.csv"
    for person in range(6):
        (tmp_path / "bank" / f"p{person}").mkdir(parents=True)
        for clip in range(3):
            pitch = 90 + 45 * person + 12 * np.sin(0.9 * time + draw.uniform(0, 6))
            phase = 2 * np.pi * np.cumsum(pitch) / 16_000
            wave = sum(0.2 / k * np.sin(k * phase) for k in (1, 2, 3 + person)) + 0.003 * draw.normal(
                size=len(time)
            )
            soundfile.write(tmp_path / "bank" / f"p{person}" / f"{clip}.wav", wave, 16_000)
    listed.write_text("id,clip\n" + "".join(f"p1,bank/p1/{clip}.wav\n" for clip in range(3)))
    model = SpeakerEncoder(str(tiny_encoder(tmp_path / "stock")), tmp_path / "bank", seconds=1.0, variants=2)
    folder = written(model, Request(("p1",), ("p5",)), Gating(), tmp_path / "out")
    asked = (folder, "--list", listed, "--keep", tmp_path / "bank")
    status, line = verified(capsys, *asked, "--seconds", 1)
    assert status == 0, line
    assert line.endswith("3 clips of 1 withdrawn are changed; 15 kept clips have all their bits.")
    status, line = verified(capsys, *asked)
    assert status == 2
    assert line.endswith("Of each 6 s were looked at; give --seconds if the redaction took another length.")


def test_the_lengths_of_clips_are_those_of_the_adapters() -> None:
    for adapter in (SpeakerEncoder, SpeechT5):
        default = inspect.signature(adapter).parameters["seconds"].default
        assert ENCODERS[f"{adapter.__module__}.{adapter.__qualname__}"] == default
