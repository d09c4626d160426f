"""Write the table of docs/results/chance_concepts.md from the figures of scripts/experiments/chance_concepts.py.

    python scripts/tools/chance_page.py docs/results/chance_concepts.json docs/results/chance_concepts.md

Everything between the page's two marks is replaced; the rest of the page stays.
"""

import json
from pathlib import Path

from marks import between, write_page

from lightning_modules.comparison.tables import markdown, percent
from lightning_modules.support.one_line import one_line
from redact_core.metrics.statistics import Rate

BEGIN, END = "<!-- from chance_concepts.json -->", "<!-- end -->"
GONE = ("redacted", "reworded", "synonyms")


def shown(rates: dict, key: str, *, span: bool = False) -> str:
    return percent(Rate(**rates[key]) if key in rates else None, 1, span=span)


def line(name: str, reference: str, rates: dict, *, span: bool = False) -> list[str]:
    gone = [
        f"{shown(rates, f'{group} after', span=span)} ({shown(rates, f'{group} floor')})" for group in GONE
    ]
    kept = [shown(rates, "kept before"), shown(rates, "kept after", span=span)]
    return [name, reference, *gone, *kept]


def table(found: dict) -> str:
    """All concepts, and a line over all of them, as Markdown."""
    head = [
        "concept",
        "reference",
        *(f"{group} (floor)" for group in GONE),
        "nearest, before",
        "nearest, after",
    ]
    lines = [head]
    lines += [line(name, c["reference"], c["rates"]) for name, c in found["concepts"].items()]
    lines.append(line("**all**", "", found["all"], span=True))
    return markdown(lines)


def filled(page: str, figures: Path) -> str:
    """``page`` with the table of the file ``figures`` between its marks."""
    return between(page, BEGIN, END, table(json.loads(figures.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    with one_line():
        write_page(__doc__, "figures", filled)
