"""Short forms of the sweeps of ``scripts/sweeps``: killed, starved and lied to; the rest of them is marked slow."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "sweeps"))

import faults
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
