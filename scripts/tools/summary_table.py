"""Print the figures of evaluations as one Markdown table.

python scripts/tools/summary_table.py out/evidence_concept out/evidence_voice
"""

import argparse
import json
from pathlib import Path

from redact_core.reporting.formats import show, span


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evidence", type=Path, nargs="+", help="folders of redact evaluate")
    args = parser.parse_args()
    print("| task | group | measure | base | redacted | base less redacted | n | unscored |")
    print("|---|---|---|---|---|---|---|---|")
    for folder in args.evidence:
        for row in json.loads((folder / "summary.json").read_text(encoding="utf-8"))["rows"]:
            print("| " + " | ".join(cells(row)) + " |")


if __name__ == "__main__":
    main()
