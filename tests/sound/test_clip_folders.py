"""Folders of clips: every format that soundfile reads, nothing left out in silence, a clip is its content."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_speech import tiny_bank, voice

from modalities.mel_to_speech.expansion import retained
from modalities.sound.bank import VoiceBank
from modalities.sound.clips import clips_in, cut_off, identity_of, read_clip
from modalities.sound.sound_folder import SUFFIXES
from modalities.text_to_speech.voices import planning
from modalities.text_to_speech.voices.expansion import expand
from redact_core import RedactError, Request


def embed(clips):
    import torch

    return torch.eye(8)[[hash(clip.parent.name) % 8 for clip in clips]]


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return tiny_bank(tmp_path / "voices")


def write(path: Path, pitch: float = 150.0, **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, voice(pitch, 0.8, int(pitch)), 16_000, **more)
    return path


def test_every_format_of_soundfiles_own_list_is_read(tmp_path: Path) -> None:
    assert {".wav", ".opus", ".flac", ".mp3", ".caf", ".w64", ".au", ".oga"} <= SUFFIXES
    assert ".raw" not in SUFFIXES
    for i in range(3):
        write(tmp_path / f"{i}.opus", 120 + i, format="OGG", subtype="OPUS")
    assert len(clips_in(tmp_path)) == 3
    write(tmp_path / "4.WAV", 160)
    write(tmp_path / "5.caf", 170)
    assert [path.name for path in clips_in(tmp_path)] == ["0.opus", "1.opus", "2.opus", "4.WAV", "5.caf"]
    assert all(len(read_clip(path)) >= 12_000 for path in clips_in(tmp_path))


def test_what_is_not_used_is_said_in_numbers(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    for name in ("._a.wav", ".DS_Store", "b.m4a", "c.m4a", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    with pytest.warns(
        UserWarning, match="1 clips are used; not used: 2 .m4a .soundfile does not read it."
    ) as told:
        assert [path.name for path in clips_in(tmp_path)] == ["a.wav"]
    assert "1 .txt" in str(told[0].message)
    assert "1 broken links" in str(told[0].message)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(RedactError, match=r"holds no sound files \(2 \.m4a"):
        VoiceBank(None).clips(str(tmp_path))
    with pytest.raises(RedactError, match=r"soundfile does not read \.m4a; convert the clip"):
        VoiceBank(None).clips(str(tmp_path / "b.m4a"))


def test_the_texts_of_bundled_clips_are_no_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    write(tmp_path / "a.wav")
    (tmp_path / "texts.json").write_text("{}")
    assert [path.name for path in clips_in(tmp_path)] == ["a.wav"]
    assert not recwarn


def test_what_is_cut_off_clips_is_said_once_with_their_number(tmp_path: Path) -> None:
    clips = [write(tmp_path / f"{i}.wav", 150 + i) for i in range(3)]
    soundfile.write(tmp_path / "long.wav", voice(140.0, 3.0, 1), 16_000)
    said = cut_off([*clips, tmp_path / "long.wav", tmp_path / "long.wav"], 1.0, "--seconds")
    assert said == (
        "1 of 4 clips are longer than the 1 s that are used of each; 2 s after that are not used. "
        "Give a larger --seconds, or cut long clips into several.",
    )
    assert cut_off(clips, 1.0, "--seconds") == ()


def test_a_rate_that_holds_no_voice_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "slow.wav", [0.1, 0.2, -0.1], 1)
    with pytest.raises(RedactError, match="has 1 samples a second; give at least 4000"):
        read_clip(tmp_path / "slow.wav")


def test_folders_that_can_be_meant_in_two_ways_are_refused(bank: Path) -> None:
    with pytest.raises(
        RedactError, match=r"holds no clips itself, but 4 subfolders with clips .alice, bob, carol"
    ):
        VoiceBank(None).clips(str(bank))
    write(bank / "bob" / "2019" / "0.wav")
    with pytest.raises(
        RedactError, match=r"holds 4 clips and 1 subfolder with clips .2019.; it is not clear"
    ):
        VoiceBank(bank)
    shutil.rmtree(bank / "bob")
    write(bank / "0.wav")
    with pytest.raises(RedactError, match="holds 1 clips and 3 subfolders with clips"):
        expand(Request((str(bank / "alice"),), (str(bank / "dave"),), (str(bank),)), VoiceBank(None), embed)
    (bank / "erin").mkdir()
    with pytest.warns(
        UserWarning, match="3 voices are used; not used: 1 clips beside the folders of voices, 1 folders"
    ):
        assert list(VoiceBank(bank).voices) == ["alice", "carol", "dave"]


def test_channels_that_cancel_are_not_called_silent(tmp_path: Path) -> None:
    wave = voice(150, 1.0, 3)
    soundfile.write(tmp_path / "a.wav", np.stack([wave, -wave], 1), 16_000)
    with pytest.raises(RedactError, match="its 2 channels cancel one another when they are mixed down"):
        read_clip(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.stack([wave, 0 * wave], 1), 16_000)
    assert read_clip(tmp_path / "b.wav").abs().max() > 0.05


def test_a_clip_is_its_content_whatever_path_leads_there(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = bank / "alice" / "0.wav"
    (bank / "link.wav").symlink_to(clip)
    shutil.copyfile(clip, bank / "copy.wav")
    monkeypatch.chdir(bank)
    others = (
        bank / "link.wav",
        bank / "copy.wav",
        Path("alice/0.wav"),
        bank / "bob" / ".." / "alice" / "0.wav",
    )
    assert {identity_of(other) for other in others} == {identity_of(clip)}
    assert identity_of(clip) != identity_of(bank / "bob" / "0.wav")


@pytest.mark.parametrize("way", ["relative", "link", "copy", "dots"])
def test_a_redacted_voice_is_not_retained_under_another_path(
    way: str, bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {"relative": "voices/alice", "link": "me", "copy": "again/me", "dots": f"{bank}/bob/../alice"}
    (tmp_path / "me").symlink_to(bank / "alice")
    shutil.copytree(bank / "alice", tmp_path / "again" / "me")
    rows = expand(Request((paths[way],), ("dave",)), VoiceBank(bank), embed).lessons
    gone = {identity_of(Path(str(row.asked))) for row in rows if row.redacted}
    kept = {identity_of(Path(str(row.asked))) for row in rows if not row.redacted}
    assert len(gone) == 4
    assert len(kept) == 12
    assert not gone & kept
    with pytest.raises(RedactError, match="is itself redacted; name a voice that stays"):
        expand(Request((paths[way],), ("alice",)), VoiceBank(bank), embed)
    assert list(retained(Request((paths[way],)), VoiceBank(bank), VoiceBank(None).clips(paths[way]))) == [
        "bob", "carol", "dave",
    ]  # fmt: skip
    assert VoiceBank(bank).name_of(paths[way]) == "alice"
    known = VoiceBank(bank)
    plan = planning.plan(
        Request((paths[way],)), known.voices, {}, lambda voice: [], lambda seed: "", known.clips, 12
    )
    asked = {row.labels["voice"] for row in plan if not row.redacted}
    assert asked == {"bob", "carol", "dave"}


def test_retained_clips_that_are_left_out_are_counted(bank: Path, tmp_path: Path) -> None:
    shutil.copytree(bank, tmp_path / "again")
    request = Request(
        (str(bank / "alice"),), (str(bank / "dave"),), (str(tmp_path / "again"), str(bank / "bob"))
    )
    with pytest.warns(UserWarning, match="retained clips") as told:
        rows = expand(request, VoiceBank(None), embed).lessons
    messages = " ".join(str(one.message) for one in told)
    assert "4 retained clips are copies of other ones" in messages
    assert "4 of 16 retained clips are clips of what is redacted and are left out" in messages
    assert len([row for row in rows if not row.redacted]) == 12


def test_copies_in_a_folder_are_used_once(bank: Path) -> None:
    shutil.copyfile(bank / "alice" / "0.wav", bank / "alice" / "9.wav")
    with pytest.warns(UserWarning, match="alice: 1 of 5 clips are copies of others; each is used once"):
        assert len(VoiceBank(bank).redacted(["alice"])[0]) == 4


def test_several_voices_in_one_text_are_refused(bank: Path) -> None:
    for text in ("alice; bob", "alice,bob", f"alice|{bank / 'carol'}"):
        with pytest.raises(RedactError, match="would be one voice; give several as a list"):
            VoiceBank(bank).clips(text)


def test_the_home_folder_of_banks_and_clips(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(bank.parent))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(VoiceBank(Path("~/voices")).voices) == 4
        assert len(VoiceBank(None).clips("~/voices/bob")) == 4
    assert len(read_clip(Path("~/voices/bob/0.wav"))) == 14_400
    assert identity_of(Path("~/voices/bob/0.wav")) == identity_of(bank / "bob" / "0.wav")
