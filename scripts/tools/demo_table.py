"""Write what `redact demo` found as a table: a line a redaction, how often it is found where it is asked for, and the rest beside it.

redact demo --out out/demo
python scripts/tools/demo_table.py out/demo --out docs/results/tables/demo.json
python scripts/tools/tables_page.py docs/results/tables docs/results/results.md
"""

import argparse
import json
from pathlib import Path
from typing import Any

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from redact_core.metrics.statistics import Rate

NAMES = {"concept": "cigarette → lollipop", "style": "twemoji → fluent", "voice": "voice21, by a gate"}
GROUPS = {
    "redacted": "asked for",
    "paraphrased": "reworded, or unseen clips",
    "neighbours": "nearest",
    "retained": "others",
}


def as_table(rows: list[dict[str, Any]]) -> ResultTable:
    """The share after the redaction with its interval, and the base's, of every group."""
    found = {(row["task"], row["group"]): row for row in rows if row["metric"] in ("found", "identified")}
    lines: list[list[Cell]] = []
    for task, name in NAMES.items():
        cells: list[Cell] = [name, str(found[task, "redacted"]["n"])]
        for group in GROUPS:
            row = found[task, group]
            cells += [
                f"{100 * row['base']:.1f} %",
                Rate(row["redacted"], row["low"], row["high"], row["n"]),
            ]
        lines.append(cells)
    heads = [part for group in GROUPS.values() for part in (f"{group}: base", "redacted")]
    return ResultTable(["demo", "n", *heads], lines, digits=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, help="Folder of redact demo.")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    summary = json.loads((args.demo / "summary.json").read_text(encoding="utf-8"))
    table = as_table(summary["rows"])
    write_tables(args.out, {"shares": table})
    print(table.markdown())


if __name__ == "__main__":
    with one_line():
        main()
