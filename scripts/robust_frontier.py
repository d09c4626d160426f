"""Leak against damage of the settings that robust_picture.py measured: a table and a picture.

    python scripts/robust_frontier.py --out out/robust_picture --picture docs/robust_frontier.png

Reads OUT/*.json and prints a Markdown table with Wilson's 95 % intervals, one column a setting. In the
picture each attack is a mark, at the share of the ten nearest concepts that were lost and at what leaked.
"""

import argparse
import json
import re
from pathlib import Path

from matplotlib.figure import Figure

from redact_core.statistics import wilson

_COUNT = re.compile(r" \(n=(\d+)\)$")


def rates(table: dict[str, object]) -> dict[str, tuple[int, int]]:
    """Measure -> (hits, n)."""
    found = {key: (value, _COUNT.search(key)) for key, value in table.items()}
    return {
        _COUNT.sub("", key): (value, int(match[1]))
        for key, (value, match) in found.items()
        if match is not None and isinstance(value, int)
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    tables = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(args.out.glob("*.json"))]
    tables = [table for table in tables if "redacted" in " ".join(table)]  # notes of settings lie there too
    columns = {str(table["setting"]): rates(table) for table in tables}
    measures = list(dict.fromkeys(key for column in columns.values() for key in column))
    print("| | " + " | ".join(f"`{name}`" for name in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    print("| seconds | " + " | ".join(f"{table['seconds']:.0f}" for table in tables) + " |")
    for measure in measures:
        cells = [str(wilson(*column[measure])) if measure in column else "" for column in columns.values()]
        print(f"| {measure} | " + " | ".join(cells) + " |")
    if args.picture:
        draw(columns, [m for m in measures if m not in ("retained", "neighbours")], args.picture)


def draw(columns: dict[str, dict[str, tuple[int, int]]], measures: list[str], path: Path) -> None:
    """One mark for each setting and measure, settings of one measure joined by a line."""
    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axes = figure.subplots()
    for measure in measures:
        points = sorted(
            (100 - 100 * c["neighbours"][0] / c["neighbours"][1], 100 * c[measure][0] / c[measure][1])
            for c in columns.values()
            if measure in c and "neighbours" in c
        )
        axes.plot(*zip(*points, strict=True), marker="o", label=measure.split(",")[0])
    axes.set(xlabel="ten nearest concepts not found, %", ylabel="concept found, %", ylim=(-3, 103))
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
