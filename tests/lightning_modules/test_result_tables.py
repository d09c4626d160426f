"""Tables of results: what is read is what was written, and what Markdown shows of it."""

import importlib
import json
from pathlib import Path

import pytest

from lightning_modules.comparison.result_tables import ResultTable, read_tables, write_tables
from lightning_modules.comparison.tables import percent
from redact_core.metrics.statistics import wilson

TOOLS = Path(__file__).parents[2] / "scripts" / "tools"


def test_rates_keep_their_interval_and_count_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tables.json"
    table = ResultTable(
        ["who", "found", "s"], [["base", wilson(60, 60), "1.20"], ["none", wilson(0, 0), "–"]]
    )
    write_tables(path, {"rates": table})
    cell = json.loads(path.read_text(encoding="utf-8"))["rates"]["rows"][0][1]
    assert (cell["value"], cell["n"]) == (1.0, 60)
    assert 0.93 < cell["low"] < 0.95
    again = read_tables(path)["rates"]
    assert (
        again.markdown()
        == table.markdown()
        == ("| who | found | s |\n| --- | --- | --- |\n| base | 100 % [94, 100] | 1.20 |\n| none | – | – |")
    )


def test_decimals_and_counts_are_shown_where_the_table_asks_for_them(tmp_path: Path) -> None:
    path = tmp_path / "tables.json"
    write_tables(path, {"one": ResultTable(["found"], [[wilson(1, 500)]], digits=1, counts=True)})
    assert read_tables(path)["one"].markdown().endswith("| 0.2 % [0.0, 1.1] of 500 |")


def test_all_tables_show_a_rate_in_one_way() -> None:
    one, none = wilson(1, 500), wilson(0, 0)
    assert percent(one) == "0 % [0, 1]"
    assert percent(one, 1, count=True) == "0.2 % [0.0, 1.1] of 500"
    assert percent(one, 1, span=False) == "0.2 %"
    assert percent(None) == percent(none, count=True) == "–"
    assert str(one) == "0.2 % [0.0, 1.1] (n=500)"


def test_attacks_become_one_line_with_a_column_for_each_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    tool = importlib.import_module("attack_tables")

    def row(model: str, attack: str, redacted: float | None, base: float) -> dict[str, object]:
        return {
            "model": model, "access": "prompt", "attack": attack, "kind": "static", "budget": "1 prompt", "task": "concept",
            "redacted": redacted, "n": 20 if redacted is not None else 0, "base": base, "base_n": 10,
        }  # fmt: skip

    rows = [
        row("a", "X", 0.5, 1.0),
        row("a", "Y", 0.0, 0.9),
        row("b", "X", 0.25, 1.0),
        row("b", "Y", None, 0.9),
    ]
    table = tool.as_table(rows)
    assert table.heads == ["access", "attack", "kind", "budget", "a", "b", "ceiling"]
    assert table.rows[0][4:] == [wilson(10, 20), wilson(5, 20), wilson(10, 10)]
    assert table.rows[1][4:6] == [wilson(0, 20), wilson(0, 0)]
    assert table.markdown().splitlines()[-1].endswith("| 0 % [0, 16] | – | 90 % [60, 98] |")
