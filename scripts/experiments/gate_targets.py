"""Tables of docs/results/prompt_gates.md that read the files of several experiments: which targets are met, and what was tried.

`prompt_gates.py --page` writes them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from summaries import Source

from lightning_modules.comparison.figures import Figures
from lightning_modules.comparison.tables import markdown, percent
from redact_core.metrics.statistics import wilson
from redact_core.reporting.formats import MISSING

METHOD = "gating units"
SEARCHES = (
    "greedy words", "greedy words in place", "PEZ words", "PEZ words in place", "words without gradients in place",
    "UnlearnDiffAtk",
)  # fmt: skip
LIMITS = {
    **dict.fromkeys(SEARCHES, 5), "soft tokens": 20, "concept inversion": 20, "synonyms": 2,
}  # fmt: skip
"""Group of the comparison -> percent that may come back."""
NAMES = {"concept inversion": "a learnt word", "synonyms": "other names"}
LOST = 1
"""Points that what stays may lose."""
BITS = "kept prompts with the same bits"


def targets(compared: Figures, measured: Iterable[Mapping[str, list]]) -> str:
    """A line a target: what was wanted, what was measured on the concepts of the comparison, and whether it is met.

    Args:
        compared: The comparison of methods.
        measured: What :mod:`prompt_gates` measured of the method, a mapping a concept: bits are compared there.
    """
    lines = [["target", "wanted", "measured", ""]]
    for group, limit in LIMITS.items():
        rate = compared.rate(METHOD, group)
        met = None if rate is None else 100 * rate.value <= limit
        lines.append([NAMES.get(group, group), f"at most {limit} %", percent(rate, count=True), verdict(met)])
    same = [column[BITS] for column in measured if BITS in column]
    hits, n = (sum(int(pair[i]) for pair in same) for i in (0, 1))
    bits = f"{hits:,} of {n:,} with the same bits"
    lines.append(["retained prompts", f"within {LOST} point", bits, verdict(hits == n)])
    lost, kept = compared.lost(METHOD), compared.kept[0]
    base = percent(compared.ceiling(METHOD, kept), span=False)
    met = None if lost is None else lost <= LOST
    shown = f"{percent(compared.rate(METHOD, kept))} of {base}"
    lines.append(["ten nearest concepts", f"within {LOST} point", shown, verdict(met)])
    return markdown(lines)


def verdict(met: bool | None) -> str:
    """In a word."""
    return "not measured" if met is None else "met" if met else "missed"


def cell(number: float | None, n: int) -> str:
    """A rate of ``number`` in ``n``; without ``n`` the number itself."""
    if number is None:
        return MISSING
    return str(wilson(int(number), n)) if n else f"{number:.0f}"


def tried(as_it_is: Mapping[str, list], other: Mapping[str, list], name: str) -> str:
    """The method and another form of it, a line a measure that the other one has.

    Args:
        as_it_is: Figures of the method.
        other: Figures of the form that was tried.
        name: What the form is called.
    """
    lines = [["measure", "the method as it is", name]]
    for measure in (key for key in other if key != "setting"):
        lines.append([measure, cell(*as_it_is[measure]), cell(*other[measure])])
    return markdown(lines)


def several(folder: Path) -> dict[str, str]:
    """Both kinds of tables by their names, from ``folder`` and the comparison beside it."""

    def read(path: Path) -> dict[str, list]:
        return json.loads(path.read_text(encoding="utf-8"))

    own = [*sorted(folder.glob("*.json")), *sorted((folder / "beside").glob("*_units.json"))]
    found = {"targets": targets(Source(folder.parent / "tables").compared, map(read, own))}
    for path in sorted((folder / "tried").glob("*.json")):
        concept, seed, form = path.stem.split("_", 2)
        name = form.replace("_", " ")
        found[f"tried {name}"] = tried(read(folder / f"{concept}_{seed}.json"), read(path), name)
    return found
