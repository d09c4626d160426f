"""Write the tables of docs/results/robust_distillation.md from the comparison of methods on concepts drawn by chance.

    python scripts/tools/robust_tables.py docs/results/compare_chance --out docs/results/tables/robust_chance.json
    python scripts/tools/tables_page.py docs/results/tables docs/results/robust_distillation.md

By attack: redact's ways for an encoder beside one another, pooled over concepts and seeds. By concept and by seed: robust distillation.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from compare_page import merged

from lightning_modules.comparison.figures import Figures
from lightning_modules.comparison.result_tables import ResultTable, write_tables
from lightning_modules.comparison.tables import MISSING, heads, number, percent
from lightning_modules.comparison.words import STOCK
from lightning_modules.support.one_line import one_line

METHODS = ("closed form", "default", "implicit synonyms", "robust", STOCK)
OURS = "robust"


def groups(found: Figures) -> dict[str, str]:
    """Group -> its line."""
    every = [
        group for group in (*found.leaks, *found.attacks, *found.kept) if found.rate(OURS, group) is not None
    ]
    return dict(zip(every, heads(every), strict=True))


def by_attack(found: Figures) -> ResultTable:
    lines = [
        [head, *(percent(found.rate(name, group)) for name in METHODS)]
        for group, head in groups(found).items()
    ]
    lines.append(["seconds, on a GPU", *(number(found.mean(name, "seconds"), ".0f") for name in METHODS)])
    return ResultTable(["", *METHODS], lines)


def by_concept(found: Figures) -> ResultTable:
    lines = [
        [head, *(of(found, group, task) for task in found.tasks)] for group, head in groups(found).items()
    ]
    return ResultTable(["", *found.tasks], lines)


def of(found: Figures, group: str, task: str) -> str:
    """With the untouched base's figure behind it."""
    own, then = found.rate(OURS, group, task), found.rate(STOCK, group, task)
    return MISSING if own is None else f"{percent(own)} of {percent(then, span=False)}"


def by_seed(found: Figures) -> ResultTable:
    seeds = found.seeds_of(OURS)
    lines = [
        [head, *(percent(found.rate(OURS, group, seed=seed)) for seed in seeds)]
        for group, head in groups(found).items()
    ]
    return ResultTable(["", *(f"seed {seed}" for seed in seeds)], lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="Folder of the comparison's files.")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    parts: list[dict[str, Any]] = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(args.results.glob("*.json"))
    ]
    found = Figures(merged(parts))
    write_tables(
        args.out, {"by_attack": by_attack(found), "by_concept": by_concept(found), "by_seed": by_seed(found)}
    )


if __name__ == "__main__":
    with one_line():
        main()
