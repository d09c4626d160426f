"""Folders that are whole or absent, and the card that tells what happened."""

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from redact_core import Lesson, Mean, RedactError, RedactionCard
from redact_core.artefacts.card import SCOPE, describe_lessons, digest
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import check_target, hashes, new_folder, sha256

KEY = bytes(range(16))


def test_new_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with new_folder(target) as part:
        (part / "a.txt").write_text("a")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["a.txt"]
    assert stat.S_IMODE(target.stat().st_mode) & 0o500 == 0o500
    assert [p.name for p in target.parent.iterdir()] == ["model"]


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_folder(tmp_path / "model") as part:
        (part / "a.txt").write_text("a")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(RedactError, match=r"disk is full: .* nothing was left behind"),
        new_folder(tmp_path / "m") as part,
    ):
        (part / "a.txt").write_text("a")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_existing_and_impossible_targets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RedactError, match="exists; nothing is overwritten"):
        check_target(tmp_path)
    with pytest.raises(RedactError, match="is not a folder"):
        check_target(tmp_path / "file" / "model")
    if os.geteuid() != 0:  # root may write anywhere
        tmp_path.chmod(0o500)
        with pytest.raises(RedactError, match="cannot be written to"):
            check_target(tmp_path / "model")
        tmp_path.chmod(0o700)


def card(folder: Path) -> RedactionCard:
    folder.mkdir()
    (folder / "w.safetensors").write_bytes(b"new")
    (folder / "c.json").write_text("{}")
    lessons = [Lesson.redact("alice", "bob"), Lesson.redact("al", Mean(("bob", "eve"))), Lesson.retain("bob")]
    written = RedactionCard(
        base={"source": "base", "kind": "Kind", "revision": None},
        method={"objective": "Distillation", "seed": 0},
        request=describe_lessons(["alice -> bob"], lessons),
        changed={"w.safetensors": {"before": "0" * 64, "after": sha256(folder / "w.safetensors")}},
        files=hashes(folder),
        measures={"redact distance after": 0.25},
        versions={"redact": "0"},
        created="2026-01-01T00:00:00+00:00",
    )
    written.write(folder)
    return written


def test_card_round_trip_and_text(tmp_path: Path) -> None:
    written = card(tmp_path / "m")
    assert RedactionCard.read(tmp_path / "m") == written
    assert written.verify(tmp_path / "m") == []
    text = (tmp_path / "m" / "README.md").read_text()
    for part in (
        "alice -> bob",
        SCOPE,
        "base_model: base",
        "2 redacted and 1 retained",
        "| redact distance after | 0.25 |",
    ):
        assert part in text
    assert written.request["lessons"] == [["alice", "bob"], ["al", "mean: bob | eve"]]


def test_verify_names_every_difference(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    written = card(folder)
    (folder / "c.json").unlink()
    (folder / "extra.bin").write_text("x")
    (folder / "w.safetensors").write_bytes(b"other")
    assert sorted(written.verify(folder)) == [
        "c.json is missing",
        "extra.bin was added after redaction",
        "w.safetensors was altered",
    ]


def test_verify_recognises_the_stock_file(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    written = card(folder)
    (folder / "w.safetensors").write_bytes(b"old")
    written.changed["w.safetensors"]["before"] = sha256(folder / "w.safetensors")
    assert written.verify(folder) == ["w.safetensors is the stock file again: the redaction is undone"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has no redaction.json"),
        ("{", "is not a redaction card"),
        ("[]", "is not a redaction card"),
        ('{"schema": 99}', "schema 99, this version reads 1"),
    ],
)
def test_damaged_cards_are_explained(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "redaction.json").write_text(text)
    with pytest.raises(RedactError, match=message):
        RedactionCard.read(tmp_path)


def test_digests_hide_the_conditions_and_need_the_key() -> None:
    lessons = [Lesson.redact("alice", "bob"), Lesson.retain("bob")]
    said = describe_lessons(["alice -> bob"], lessons, "digest", KEY)
    assert "alice" not in json.dumps(said)
    assert said["digests"] == [digest("alice", KEY)]
    assert digest("alice", KEY) != digest("alice", KEY[::-1])
    assert "alice" not in json.dumps(describe_lessons(["alice -> bob"], lessons, "count"))
    with pytest.raises(RedactError, match="Digests need a key"):
        describe_lessons([], lessons, "digest", None)


def test_wilson_against_published_values() -> None:
    # Newcombe 1998, table I, method 3
    rate = wilson(81, 263)
    assert (round(rate.low, 4), round(rate.high, 4)) == (0.2553, 0.3662)
    rate = wilson(0, 20)
    assert (round(rate.low, 4), round(rate.high, 4)) == (0.0, 0.1611)
    assert wilson(20, 20).high == 1.0
    assert str(wilson(0, 0)).startswith("nan")
    with pytest.raises(ValueError, match="21 successes of 20"):
        wilson(21, 20)
