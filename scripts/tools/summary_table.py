"""Print the figures of evaluations as one Markdown table.

python scripts/tools/summary_table.py out/evidence_concept out/evidence_voice --out out/tables.json
"""

import argparse
import json
from pathlib import Path

from lightning_modules.comparison.result_tables import ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from redact_core.reporting.formats import show, span

HEADS = ["task", "group", "measure", "base", "redacted", "base less redacted", "n", "unscored"]


def cells(row: dict) -> list[str]:
    rate = row.get("kind") == "rate"
    gap = (row.get("difference"), row.get("difference_low"), row.get("difference_high"))
    return [
        row["task"], row["group"], row["metric"].replace("_", " "), show(row["base"], rate),
        f"{show(row['redacted'], rate)} [{span(row['low'], row['high'], rate)}]",
        "" if gap[0] is None else f"{show(gap[0], rate)} ({span(gap[1], gap[2], rate)})",
        str(row["n"]), str(row.get("unscored") or 0),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("evidence", type=Path, nargs="+", help="folders of redact evaluate")
    parser.add_argument("--out", type=Path, help="File for the table, in JSON.")
    args = parser.parse_args()
    rows = [
        cells(row)
        for folder in args.evidence
        for row in json.loads((folder / "summary.json").read_text(encoding="utf-8"))["rows"]
    ]
    table = ResultTable(HEADS, rows)
    if args.out:
        write_tables(args.out, {"figures": table})
    print(table.markdown())


if __name__ == "__main__":
    with one_line():
        main()
