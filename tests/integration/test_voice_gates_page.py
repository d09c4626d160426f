"""docs/results/voice_gates.md shows what docs/results/voice_gates holds, and nothing that was typed."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts" / "experiments"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    sys.modules.pop("voice_gates_page", None)
    import voice_gates_page

    return voice_gates_page


def test_tables_are_those_of_the_results(script: ModuleType) -> None:
    page = script.PAGE.read_text(encoding="utf-8")
    assert script.written(page) == page, "run scripts/experiments/voice_gates_page.py"


def test_every_result_is_shown_and_every_table_has_its_results(script: ModuleType) -> None:
    page = script.PAGE.read_text(encoding="utf-8")
    shown = set(script.tables_of(page))
    assert shown == set(script.TABLES)
    files = {path for table in script.TABLES for path in script.files_of(table)}
    assert set(script.RESULTS.glob("*.json")) <= files


def test_receipts_lose_their_names_and_rates_are_pooled_over_people(script: ModuleType) -> None:
    receipt = {
        "withdrawn": {"alice": {"clips": [{}, {}], "likeness of any output at most": 0.8}},
        "measured": {"clips changed": {"alice": 2}, "kept clips": 5, "kept clips changed": 0}, "CPU seconds": 3.0,
    }  # fmt: skip
    found = script.summary(receipt)
    assert "alice" not in str(found)
    assert (found["voices"], found["clips"], found["clips changed"]) == (1, 2, 2)
    rows = [
        {"person": p, "group": "unseen", "metric": "identified", "base": 1.0, "redacted": share, "n": n}
        for p, share, n in (("a", 0.5, 2), ("b", 0.0, 8))
    ]
    (row,) = script.means(rows)["rows"]
    assert (row["n"], row["worst"], row["redacted"]) == (10, 0.5, 0.25)
    assert row["low"] < 0.1 < row["high"], "one of ten"
