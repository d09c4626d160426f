"""Short forms of the sweeps of ``scripts/sweeps``: kills, full disks and bad inputs; the rest of them is marked slow."""

import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "sweeps"))

import faults
import forked
import kills
import lies
import tally
import verbs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Processes are forked.")


def verb(name: str, root: Path) -> verbs.Verb:
    root.mkdir()
    return next(verb for verb in verbs.verbs(root) if verb.name == name)


def assert_good(found: tally.Tally) -> None:
    assert found.runs
    assert found.good, found


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("report", 1),
        *(
            pytest.param(name, count, marks=pytest.mark.slow)
            for name, count in (
                ("fit and export", 8),
                ("fit and export, diffusers", 10),
                ("evaluate", 6),
                ("attack", 6),
            )
        ),
    ],
)
def test_killed_and_gone_on(tmp_path: Path, name: str, count: int) -> None:
    record = tally.Record(tmp_path / "kills.json")
    assert_good(kills.sweep(verb(name, tmp_path / "root"), count, 1, tmp_path / "home", record))


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("report", 1),
        *(
            pytest.param(name, most, marks=pytest.mark.slow)
            for name, most in (
                ("fit and export", 8),
                ("fit and export, diffusers", 20),
                ("evaluate", 5),
                ("attack", 5),
            )
        ),
    ],
)
def test_no_room_at_any_write(tmp_path: Path, name: str, most: int) -> None:
    record = tally.Record(tmp_path / "faults.json")
    assert_good(faults.sweep(verb(name, tmp_path / "root"), most, tmp_path / "home", record))


def test_waiting_for_ever_is_told_from_slow_and_a_kill_comes_at_its_moment(tmp_path: Path) -> None:
    def busy() -> None:
        end = time.process_time() + 1.0
        while time.process_time() < end:
            pass

    log = tmp_path / "log"
    assert forked.run(["--help"], log, before=lambda: time.sleep(30), idle=0.5).status == -signal.SIGALRM
    assert forked.run(["--help"], log, before=busy, idle=30.0).status == 0
    assert forked.run(["--help"], log, before=busy, idle=30.0, limit=0.3).status == -signal.SIGALRM
    killed = forked.run(["--help"], log, before=busy, kill_after=0.3)
    assert killed.status == -signal.SIGKILL
    assert 0.2 < killed.seconds < 0.9


def test_a_sweep_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    record = tally.Record(tmp_path / "kills.json", kills=3, seed=0)
    record.of("fit").runs = 2
    record.of("fit").note("1: left behind")
    record.write()
    again = tally.Record(tmp_path / "kills.json", kills=3, seed=0)
    assert again.of("fit") == record.of("fit")
    assert again.of("report").runs == 0
    assert tally.Record(tmp_path / "kills.json", kills=3, seed=1).tallies == []


CHEAP = (lies.configs, lies.cards, lies.evidence, lies.plans)
"""Kinds that are refused before a model is loaded."""


@pytest.mark.parametrize(
    ("kinds", "count"),
    [
        (CHEAP, 4),
        pytest.param(CHEAP, 18, marks=pytest.mark.slow),
        pytest.param(lies.KINDS, 45, marks=pytest.mark.slow),
    ],
)
def test_lies_end_in_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple, count: int
) -> None:
    (tmp_path / "world").mkdir()
    world = lies.World(tmp_path / "world")
    monkeypatch.setattr(lies, "KINDS", kinds)
    answers = [lies.tell(world, tmp_path, 2, number, set()) for number in range(count)]
    assert not [answer for answer in answers if answer.verdict not in {"clear", "accepted"}]
    assert sum(answer.verdict == "clear" for answer in answers) >= len(answers) // 2
