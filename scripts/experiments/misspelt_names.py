"""Do misspelt names bring a style or a concept back? Before and after rows that redact misspelt names. Resumable.

    python scripts/experiments/misspelt_names.py --out out/misspelt --json docs/results/tables/misspelt.json

Each task is redacted with the default method, once without rows of misspelt names (which are of styles alone) and once with
them. Every prompt then misspells the name by one slip or two, of each kind, and the bundled grader looks for what was redacted. Rows hold
single slips; two slips in one name they never hold.
Each model is one file in OUT; a finished one is not made again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from lightning_modules.comparison.bench import Bench
from lightning_modules.comparison.methods import Method
from lightning_modules.comparison.result_tables import ResultTable, write_tables
from lightning_modules.comparison.words import FOUND
from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.attacks.misspelling import Misspelling
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from modalities.text_to_image.prompts.misspellings import SLIPS
from modalities.text_to_image.prompts.shares import MISSPELLINGS
from redact_core import ClosedForm, Distillation, Request
from redact_core.metrics.statistics import Rate, wilson
from redact_core.support.folders import write_whole

TASKS = ("style: noto", "style: twemoji", "guitar")
_GROUPS = {"redacted": "asked", "reworded": "reworded", "neighbours": "nearest", "retained": "others"}
Rates = dict[str, tuple[int, int]]


ATTACKS = {
    f"{kind}, {'one slip' if slips == 1 else 'two slips'}": (kind, slips)
    for slips in (1, 2)
    for kind in SLIPS
}


def bench(n: int) -> Bench:
    return Bench(
        lambda **settings: StableDiffusion("bundled", batch_size=50, **settings), GraderScorer(),
        lambda task, seed: Request((task,), seed=seed),
        {name: lambda kind=kind, slips=slips: Misspelling(kind, slips) for name, (kind, slips) in ATTACKS.items()},
        n=n, n_attacked=n, groups=tuple(_GROUPS),
    )  # fmt: skip


def measured(bench: Bench, task: str, rows: int | None) -> Rates:
    """Group or attack -> hits and samples, of the untouched base where ``rows`` is None."""
    model, changes = bench.base, "nothing"
    if rows is not None:
        method = Method(lambda: Distillation(start=ClosedForm()), ({},), base={"misspellings": rows})
        made = bench.made("default", method, {}, task, 0, keep=False)
        model, changes = made.model, made.changes
    figures: dict[str, dict[str, Any]] = {
        said: bench.plain(model, task, 0, group)[FOUND]
        for group, said in _GROUPS.items()
        if group in bench.plan(task, 0)
    }
    figures |= {name: bench.attacked(model, changes, name, task, 0) for name in bench.attacks}
    return {name: (figure["hits"], figure["n"]) for name, figure in figures.items()}


def rate(found: Rates, name: str) -> Rate:
    return wilson(*found.get(name, (0, 0)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--n", type=int, default=40, help="Prompts of each group and kind.")
    parser.add_argument("--json", type=Path, help="Write the table there, for the documentation.")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Rates] = {}
    opened: Bench | None = None
    for task in args.tasks:
        name = task.removeprefix("style: ")
        counts = (None, 0, MISSPELLINGS) if task.startswith("style: ") else (None, 0)
        for rows in counts:
            path = args.out / f"{name.replace(' ', '_')}_{'base' if rows is None else rows}_{args.n}.json"
            if not path.exists():
                opened = opened or bench(args.n)
                write_whole(path, json.dumps(measured(opened, task, rows), allow_nan=False).encode())
            said = "base" if rows is None else f"{rows} rows"
            columns[f"{name}, {said}"] = json.loads(path.read_text(encoding="utf-8"))
    lines = [*_GROUPS.values(), *ATTACKS]
    table = ResultTable(
        ["prompts", *columns], [[line, *(rate(found, line) for found in columns.values())] for line in lines]
    )
    print(table.markdown())
    if args.json:
        write_tables(args.json, {"names": table})


if __name__ == "__main__":
    with one_line():
        main()
