"""Write the tables of docs/results/sweeps.md from what scripts/sweeps/ found.

    python scripts/tools/sweeps_page.py docs/results/sweeps docs/results/sweeps.md

The folder holds ``kills.json``, ``faults.json`` and ``lies.json``. Everything between the page's two marks is
replaced; the rest of the page stays.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "sweeps"))

from marks import between, write_page
from tally import table, table_by_kind

BEGIN, END = "<!-- from the sweeps -->", "<!-- end -->"
TITLES = {
    "kills": "Killed at random moments",
    "faults": "A full disk, a read-only disk",
    "lies": "Bad inputs",
}


def tables(folder: Path) -> str:
    """The three tables as Markdown, each with its date and how many runs it counts."""
    lines: list[str] = []
    for name, title in TITLES.items():
        found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        rows = found["rows"]
        count = len(rows) if name == "lies" else sum(row["runs"] for row in rows)
        shown = table_by_kind(rows) if name == "lies" else table(rows)
        lines += [f"## {title}", "", f"{count} runs on {found['date']}.", "", *shown, ""]
    return "\n".join(lines).strip()


def filled(page: str, folder: Path) -> str:
    """``page`` with the tables of ``folder`` between its marks."""
    return between(page, BEGIN, END, tables(folder))


if __name__ == "__main__":
    write_page(__doc__, "folder", filled)
