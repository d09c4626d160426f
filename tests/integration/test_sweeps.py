"""Short forms of the sweeps of ``scripts/sweeps``: killed, starved and lied to; the rest of them is marked slow."""

import random
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "sweeps"))

import faults
import kills
import lies

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Processes are forked.")


def verb(name: str, root: Path) -> kills.Verb:
    root.mkdir()
    return next(verb for verb in kills.verbs(root) if verb.name == name)


def assert_good(tally: kills.Tally) -> None:
    assert tally.kills
    assert tally.good, tally


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
    assert_good(kills.sweep(verb(name, tmp_path / "root"), count, random.Random(1), tmp_path / "home"))


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
    assert_good(faults.sweep(verb(name, tmp_path / "root"), most, tmp_path / "home"))


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
def test_lies_end_in_one_clear_line(tmp_path: Path, kinds: tuple, count: int) -> None:
    (tmp_path / "world").mkdir()
    world, rng = lies.World(tmp_path / "world"), random.Random(2)
    answers = []
    for number in range(count):
        here = tmp_path / "lies" / str(number)
        here.mkdir(parents=True)
        answers.append(lies.judge(kinds[number % len(kinds)](world, here, rng), here, tmp_path / "log"))
        shutil.rmtree(here)
    assert not [answer for answer in answers if answer.verdict not in {"clear", "accepted"}]
    assert sum(answer.verdict == "clear" for answer in answers) >= len(answers) // 2
