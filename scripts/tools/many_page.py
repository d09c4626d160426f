"""Write the tables of docs/results/many.md from the figures of scripts/experiments/many_at_once.py.

    python scripts/tools/many_page.py docs/results/many docs/results/many.md

The folder holds cost.json and results of any number of settings. What lies between the page's marks is replaced; the rest of the page stays.
"""

import json
from pathlib import Path

from marks import between, write_page

from lightning_modules.comparison.tables import markdown, percent
from lightning_modules.support.one_line import one_line
from redact_core.metrics.statistics import Rate

GROUPS = ("redacted", "reworded", "first", "the later one", "nearest", "others")


def share(row: dict, name: str, *, span: bool) -> str:
    low, high = row[f"{name} interval"][:2]
    return percent(Rate(row[name] / row["n"], low, high, row["n"]), 1, span=span)


def quality(runs: list[dict]) -> str:
    """A line for each setting and number of concepts, as Markdown."""
    head = ["method", "concepts", "redacted prompts", "processor seconds"]
    head += [f"{group} (untouched)" for group in GROUPS]
    lines = [head]
    for run in runs:
        for count in dict.fromkeys(row["count"] for row in run["rows"]):
            own = {row["group"]: row for row in run["rows"] if row["count"] == count}
            first = next(iter(own.values()))
            cells = [
                f"{share(own[group], 'after', span=True)} ({share(own[group], 'base', span=False)})"
                if group in own
                else "–"
                for group in GROUPS
            ]
            what = [run["settings"]["objective"], count, str(first["rows"]), f"{first['seconds']:.0f}"]
            lines.append([*what, *cells])
    return markdown(lines)


def cost(rows: list[dict]) -> str:
    """A line for each number of styles, as Markdown."""
    head = [
        "encoder",
        "rows",
        "styles",
        "redacted and retained prompts",
        "processor seconds",
        "of one style's",
        "peak memory",
    ]
    lines = [head]
    for row in rows:
        same = [x for x in rows if all(x[key] == row[key] for key in ("encoder", "disturbed"))]
        same = [x for x in same if x.get("every", 1) == row.get("every", 1)]
        one = next(x for x in same if x["styles"] == 1)
        cells = [
            row["encoder"],
            f"{row['disturbed']} times disturbed"
            + (f", each {row['every']}th" if row.get("every", 1) > 1 else ""),
            f"{row['styles']:,}",
            f"{row['redacted rows']:,} + {row['retained rows']:,}",
            f"{row['seconds']:,.0f}",
            f"{row['seconds'] / one['seconds']:.2f}",
            f"{row['peak_bytes'] / 2**30:.2f} GiB",
        ]
        lines.append(cells)
    return markdown(lines)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def filled(page: str, folder: Path) -> str:
    """``page`` with both tables between their marks."""
    runs = [read(path) for path in sorted(folder.glob("*.json")) if path.name != "cost.json"]
    page = between(page, "<!-- from results -->", "<!-- end of results -->", quality(runs))
    costs = cost(read(folder / "cost.json")["rows"])
    return between(page, "<!-- from cost.json -->", "<!-- end of cost.json -->", costs)


if __name__ == "__main__":
    with one_line():
        write_page(__doc__, "folder", filled)
