"""Leak against damage of the settings that robust_picture.py measured: a table and a picture.

    python scripts/experiments/robust_frontier.py --out out/robust_picture --picture docs/images/robust_frontier.png

Reads OUT/*.json of one or more folders and prints a Markdown table with Wilson's 95 % intervals, one
column a setting. In the picture each attack is a mark with its interval, at the share of the ten nearest
concepts that are not found and at what leaked.
"""

import argparse
import json
import re
from pathlib import Path

from matplotlib.figure import Figure

from lightning_modules.support.one_line import one_line
from redact_core.metrics.statistics import wilson

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
    parser.add_argument("--out", type=Path, nargs="+", required=True)
    parser.add_argument("--picture", type=Path)
    parser.add_argument(
        "--drawn", nargs="+", help="Attacks in the picture, by their beginning; default: all."
    )
    args = parser.parse_args()
    found = {
        path: json.loads(path.read_text(encoding="utf-8"))
        for out in args.out
        for path in sorted(out.glob("*.json"))
    }
    # notes of settings lie there too
    tables = {path: table for path, table in found.items() if "redacted" in " ".join(table)}
    columns: dict[str, dict[str, tuple[int, int]]] = {}
    seconds: dict[str, str] = {}
    for path, table in tables.items():  # a later folder's figures of a setting go before an earlier one's
        name = _named(path, str(table["setting"]))
        columns.setdefault(name, {}).update(rates(table))
        seconds[name] = f"{table['seconds']:.0f}"
    measures = list(dict.fromkeys(key for column in columns.values() for key in column))
    print("| | " + " | ".join(f"`{name}`" for name in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    print("| seconds | " + " | ".join(seconds.values()) + " |")
    for measure in measures:
        cells = [str(wilson(*column[measure])) if measure in column else "" for column in columns.values()]
        print(f"| {measure} | " + " | ".join(cells) + " |")
    if args.picture:
        drawn = tuple(args.drawn or [""])
        draw(columns, [m for m in measures if "," in m and m.startswith(drawn)], args.picture)


def _named(path: Path, setting: str) -> str:
    """A setting with the steps that the name of its file tells."""
    steps = re.search(r"_(\d+)x\d+_\d+$", path.stem)
    if steps is None or "Distillation" not in setting.split(":")[0]:
        return setting
    return f"{setting}, {steps[1]} steps"


def draw(columns: dict[str, dict[str, tuple[int, int]]], measures: list[str], path: Path) -> None:
    """A mark with its interval for each setting and attack; a setting stands at its damage."""
    figure = Figure(figsize=(8.4, 6.4), layout="constrained")
    axes, below = figure.subplots(2, height_ratios=(5, 3))
    placed = {name: column for name, column in columns.items() if "neighbours" in column}
    damage = {name: 100 - wilson(*column["neighbours"]).value * 100 for name, column in placed.items()}
    for k, measure in enumerate(measures):
        found = {name: wilson(*column[measure]) for name, column in placed.items() if measure in column}
        x = [damage[name] + 0.15 * (k - len(measures) / 2) for name in found]
        y = [100 * rate.value for rate in found.values()]
        low, high = ([100 * getattr(rate, side) for rate in found.values()] for side in ("low", "high"))
        reach = [[a - b for a, b in zip(y, low, strict=True)], [b - a for a, b in zip(y, high, strict=True)]]
        axes.errorbar(
            x, y, yerr=reach, fmt="o", markersize=4, linewidth=1, label=", ".join(measure.split(", ")[:2])
        )
    order = sorted(damage, key=lambda name: damage[name])
    for k, name in enumerate(order):
        axes.axvline(damage[name], color="0.85", linewidth=0.8, zorder=0)
        # on two lines, for settings may stand close together
        axes.text(damage[name], 104 + 6 * (k % 2), f"{k + 1}", fontsize=8, ha="center", va="bottom")
    below.axis("off")
    names = "\n".join(f"{k + 1:>2}  {_short(name)}" for k, name in enumerate(order))
    below.text(0, 1, names, fontsize=7.5, va="top", linespacing=1.4)
    axes.set(xlabel="ten nearest concepts not found, %", ylabel="concept found, %", ylim=(-3, 103))
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110)


def _short(setting: str) -> str:
    """A setting without the packages of its classes."""
    return re.sub(r"class_path: [a-z_.]*\.|[{}]", "", setting)


if __name__ == "__main__":
    with one_line():
        main()
