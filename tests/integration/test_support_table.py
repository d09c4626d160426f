"""The table of models that can be redacted is what the checks find."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE, FOUND = (ROOT / "docs" / "results" / f"support.{kind}" for kind in ("md", "json"))
sys.path.insert(0, str(ROOT / "scripts" / "experiments"))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    import support_table

    monkeypatch.setattr(sys, "argv", ["support_table.py", *map(str, arguments)])
    support_table.main()


def settled(row: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from machine to machine."""
    return {
        name: value
        for name, value in row.items()
        if name not in {"seconds", "left", "moved", "by_path", "one_encoder_alone"}
    }


def test_the_page_is_the_table_of_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "support.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    run(monkeypatch, FOUND, page, "--table")
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_checks_find_what_the_figures_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "support.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    run(monkeypatch, tmp_path / "support.json", page)
    new = json.loads((tmp_path / "support.json").read_text(encoding="utf-8"))
    old = json.loads(FOUND.read_text(encoding="utf-8"))
    assert [settled(row) for row in new["families"]] == [settled(row) for row in old["families"]]
    assert new["memory"] == old["memory"]
    for row in new["families"]:
        assert row["paths_changed"] == row["paths_covered"]
        assert row["stock_class_loads"] == "yes"


@pytest.mark.slow
def test_the_checks_of_voices_alone_find_what_the_figures_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, found = tmp_path / "support.md", tmp_path / "support.json"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    found.write_text(FOUND.read_text(encoding="utf-8"), encoding="utf-8")
    run(monkeypatch, found, page, "--voices")
    old, new = (json.loads(path.read_text(encoding="utf-8"))["families"] for path in (FOUND, found))
    assert [settled(row) for row in new] == [settled(row) for row in old]
    voices = [row for row in new if not row["family"].endswith("Pipeline")]
    assert len(voices) > 10
    for row in voices:
        assert row["paths_changed"] == row["paths_covered"]
        assert row["stock_class_loads"] == "yes"
        assert row["moved"] == 0
