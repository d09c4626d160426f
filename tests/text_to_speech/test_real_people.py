"""The script that grades gates on people: whatever lies in the folders is used, or named in one line."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_speech import harmonic_bank, tiny_encoder

SCRIPTS = Path(__file__).parents[2] / "scripts" / "experiments"
COLUMNS = {"person", "group", "metric", "base", "redacted", "n", "low", "high"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny encoders, seven people who stay, and two people with clips of all kinds beside what is no clip."""
    place = tmp_path_factory.mktemp("people")
    tiny_encoder(place / "encoder")
    tiny_encoder(place / "judge", "xvector")
    harmonic_bank(place / "all", people=9, clips=4)
    (place / "others").mkdir()
    for person in range(2, 9):
        (place / "all" / f"p{person}").rename(place / "others" / f"p{person}")
    people = place / "all"
    for clip in range(3):
        wave, rate = soundfile.read(people / "p0" / f"{clip}.wav")
        (people / "p0" / f"{clip}.wav").unlink()
        soundfile.write(people / "p0" / f"{clip}.flac", np.stack([wave, wave], 1)[::2], rate // 2)
    (people / "p1" / "notes.txt").write_text("of the session")
    (people / "p1" / "broken.wav").write_text("RIFF, or not")
    (people / "nobody").mkdir()
    (people / "alone").mkdir()
    soundfile.write(people / "alone" / "0.wav", wave, rate)
    return place


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import real_people

    def run(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["real_people.py", *map(str, arguments)])
        real_people.main()

    return run


def test_two_people_with_clips_of_all_kinds(script, place: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    out = place / "out"
    script(
        "--encoder", place / "encoder", "--judge", place / "judge", "--people", place / "all", "--others", place / "others",
        "--out", out, "--clips", 2, "--attacked", 1, "--steps", 2, "--restarts", 2, "--seconds", 0.6,
    )  # fmt: skip
    said = capsys.readouterr().out
    assert "left out: nobody holds no sound files." in said
    assert "left out: alone has 1 usable clips; more than --clips 2 are needed." in said
    assert "broken.wav" in said
    assert "notes.txt" not in said
    rows = json.loads((out / "results.json").read_text())
    assert all(set(row) == COLUMNS for row in rows)
    assert {row["person"] for row in rows} == {"p0", "p1"}
    found = {(row["group"], row["metric"]): row for row in rows if row["person"] == "p0"}
    for group in ("learnt", "unseen", "unseen, channel", "unseen, pitch and tempo"):
        assert (group, "identified") in found
    assert found["unseen", "identified"]["n"] == 2
    assert found["kept, given", "same to the bit"]["redacted"] == 1
    assert found["gallery", "everybody"]["redacted"] == 9
    assert found["whom the encoder names, by the judge", "likeness"]["n"] == 2
    bound = found["any embedding", "likeness, bound"]["redacted"]
    for whose in ("own", "others'"):
        for snr in (30, 20, 10):
            row = found[f"attack on {whose} clips, {snr} dB", "likeness"]
            assert row["redacted"] <= bound + 1e-4
            assert math.isfinite(row["base"])
    assert (out / "encoder" / "p1" / "voice_gate_1.ckpt").is_file()
    assert "| attack on own clips, 30 dB | identified |" in (out / "table.md").read_text()


def test_who_cannot_be_told_from_somebody_who_stays_is_named_and_the_others_are_graded(
    script, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    others = tmp_path / "others"
    others.mkdir()
    for clips in (place / "others").iterdir():
        (others / clips.name).symlink_to(clips)
    (others / "twin").symlink_to(place / "all" / "p1")
    script(
        "--encoder", place / "encoder", "--people", place / "all", "--others", others, "--out", tmp_path / "out",
        "--clips", 1, "--attacked", 1, "--snr",
    )  # fmt: skip
    said = capsys.readouterr().out
    assert "left out: p1: Conditions that stay have the redacted voice's own embedding" in said
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {row["person"] for row in rows} == {"p0"}
    assert not any(row["group"].startswith("attack") for row in rows)


def test_one_person_and_two_others_with_a_clip_each_are_enough(script, place: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "p0").symlink_to(place / "all" / "p0")
    (tmp_path / "others").mkdir()
    for name in ("p4", "p6"):
        (tmp_path / "others" / f"{name}.wav").symlink_to(place / "others" / name / "0.wav")
    script(
        "--encoder", place / "encoder", "--people", tmp_path / "people", "--others", tmp_path / "others", "--out", tmp_path / "out",
        "--clips", 3, "--attacked", 1, "--snr", 20, "--steps", 1, "--restarts", 3, "--seconds", 0.6,
    )  # fmt: skip
    found = {
        (r["group"], r["metric"]): r for r in json.loads((tmp_path / "out" / "results.json").read_text())
    }
    assert found["gallery", "everybody"]["redacted"] == 3
    assert found["kept, given", "same to the bit"]["redacted"] == 1
    assert found["unseen", "identified"]["n"] == 1
    assert found["strangers", "likeness, standard deviation"]["redacted"] is None, "of one clip there is none"
    assert "attack on others' clips, 20 dB" in {group for group, _ in found}


def test_what_is_wrong_is_one_line(script, place: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from redact_core import RedactError

    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("nothing to listen to")
    few = tmp_path / "few"
    few.mkdir()
    (few / "p7").symlink_to(place / "others" / "p7")
    people, others = place / "all", place / "others"
    for given, message in (
        ({"people": tmp_path / "missing"}, "There is no folder"),
        ({"people": tmp_path / "empty"}, "empty holds no sound files; WAV, FLAC"),
        ({"others": tmp_path / "text"}, "text holds no sound files; WAV, FLAC"),
        ({"clips": 9}, "has more than 9 usable clips; lower --clips."),
        ({"others": few}, "few holds 1 people besides; give at least 2, better 50."),
        ({"only": "p0x"}, "--only names p0x; in .* with enough clips are p0, p1."),
    ):
        options = {
            "encoder": place / "encoder", "people": people, "others": others, "out": tmp_path / "out", "clips": 2,
        } | given  # fmt: skip
        with pytest.raises(RedactError, match=message):
            script(*(part for name, value in options.items() for part in (f"--{name}", value)))
