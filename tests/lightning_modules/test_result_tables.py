"""Tables of results: what is read is what was written, and what Markdown shows of it."""

import json
from pathlib import Path

from lightning_modules.comparison.result_tables import ResultTable, read_tables, write_tables
from redact_core.metrics.statistics import wilson


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
