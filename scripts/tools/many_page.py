"""Write the tables of docs/results/many.md from the figures of scripts/experiments/many_at_once.py.

    python scripts/tools/many_page.py docs/results/many docs/results/many.md

The folder holds results.json and cost.json. What lies between the page's marks is replaced; the rest of the page stays.
"""

import json
from pathlib import Path

from marks import between, write_page

GROUPS = ("redacted", "reworded", "first", "the later one", "nearest", "others")


def share(row: dict, name: str, *, span: bool) -> str:
    text = f"{100 * row[name] / row['n']:.1f} %"
    low, high = row[f"{name} interval"]
    return f"{text} [{100 * low:.1f}, {100 * high:.1f}]" if span else text


def quality(rows: list[dict]) -> str:
    """A line for each number of concepts, as Markdown."""
    head = [
        "concepts",
        "redacted prompts",
        "processor seconds",
        *(f"{group} (untouched)" for group in GROUPS),
    ]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    for count in dict.fromkeys(row["count"] for row in rows):
        own = {row["group"]: row for row in rows if row["count"] == count}
        first = next(iter(own.values()))
        seconds = f"{first['seconds']:.0f}"
        cells = [
            f"{share(own[group], 'after', span=True)} ({share(own[group], 'base', span=False)})"
            if group in own
            else "–"
            for group in GROUPS
        ]
        lines.append(f"| {' | '.join([count, str(first['rows']), seconds, *cells])} |")
    return "\n".join(lines)


def cost(rows: list[dict]) -> str:
    """A line for each number of styles, as Markdown."""
    head = [
        "encoder",
        "styles",
        "redacted and retained prompts",
        "processor seconds",
        "of one style's",
        "peak memory",
    ]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    for row in rows:
        same = [x for x in rows if all(x[key] == row[key] for key in ("encoder", "disturbed"))]
        one = next(x for x in same if x["styles"] == 1)
        cells = [
            row["encoder"],
            f"{row['styles']:,}",
            f"{row['redacted rows']:,} + {row['retained rows']:,}",
            f"{row['seconds']:,.0f}",
            f"{row['seconds'] / one['seconds']:.2f}",
            f"{row['peak_bytes'] / 2**30:.2f} GiB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def filled(page: str, folder: Path) -> str:
    """``page`` with both tables between their marks."""
    for name, table in (("results.json", quality), ("cost.json", cost)):
        rows = json.loads((folder / name).read_text(encoding="utf-8"))["rows"]
        page = between(page, f"<!-- from {name} -->", f"<!-- end of {name} -->", table(rows))
    return page


if __name__ == "__main__":
    write_page(__doc__, "folder", filled)
