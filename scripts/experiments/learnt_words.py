"""How long must a word be learnt until it brings a concept back, after Selective Amnesia and after RobustAmnesia? Resumable.

    python scripts/experiments/learnt_words.py --out out/learnt_words --json docs/results/tables/learnt_words.json

Both methods change the generator alone, so the words are read by the untouched encoder, as by whoever has the folder. A line is a search for
embeddings in place of the name, adaptive but for *learnt on the untouched model*, which tells whether the defence merely hides the way.
Settings are those of the comparison of methods. Each model is one file in OUT; a finished one is not made again.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import compare_pictures as known
import torch

from lightning_modules.comparison.bench import Bench
from lightning_modules.comparison.result_tables import ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.attacks.concept_inversion import ConceptInversion
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from redact_core import Adapter, Attack, PlanRow, Request
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import write_whole

METHODS = ("Selective Amnesia", "robust amnesia")
SETTINGS = {"ewc_weight": 0.1}


class OfTheBase(ConceptInversion):
    """Learns on the untouched model, and hands the words to the redacted one."""

    def subvert(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> Adapter:
        self._learnt[model] = self.learnt(base, base, rows, seed=seed)
        return model


SEARCHES: Mapping[str, Callable[[], Attack]] = {
    "one word, 40 steps": lambda: ConceptInversion(tokens=1, steps=40, pictures=16, batch=8),
    "one word, 80 steps": lambda: ConceptInversion(tokens=1, steps=80, pictures=16, batch=8),
    "one word, 120 steps": lambda: ConceptInversion(tokens=1, steps=120, pictures=16, batch=8),
    "one word, 200 steps": lambda: ConceptInversion(tokens=1, steps=200, pictures=16, batch=8),
    "two words, 40 steps": lambda: ConceptInversion(tokens=2, steps=40, pictures=16, batch=8),
    "two words, 120 steps": lambda: ConceptInversion(tokens=2, steps=120, pictures=16, batch=8),
    "one word, 40 steps, learnt on the untouched model": lambda: OfTheBase(tokens=1, steps=40, pictures=16, batch=8),
}  # fmt: skip


def measured(bench: Bench, concept: str, method: str) -> dict[str, list[int]]:
    """Search -> hits and samples; of the untouched model where ``method`` is none of :data:`METHODS`."""
    model, changes = bench.base, "nothing"
    if method in METHODS:
        made = bench.made(method, known.METHODS[method], SETTINGS, concept, 0, keep=False)
        model, changes = made.model, made.changes
    found = {name: bench.attacked(model, changes, name, concept, 0) for name in SEARCHES}
    return {name: [int(figure["hits"]), int(figure["n"])] for name, figure in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--concepts", nargs="+", default=["guitar"])
    parser.add_argument("--n", type=int, default=25, help="Prompts of each search.")
    parser.add_argument("--json", type=Path, help="Write the table there, for the documentation.")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        lambda **settings: StableDiffusion("bundled", batch_size=50, **settings), GraderScorer(),
        lambda task, seed: Request((task,), seed=seed), SEARCHES, n=args.n, n_attacked=args.n, groups=("redacted",),
    )  # fmt: skip
    columns: dict[str, dict[str, list[int]]] = {}
    for concept in args.concepts:
        for method in ("untouched", *METHODS):
            path = args.out / f"{concept}_{method}_{args.n}.json".replace(" ", "_")
            if not path.exists():
                write_whole(path, json.dumps(measured(bench, concept, method), allow_nan=False).encode())
            columns[f"{concept}, {method}"] = json.loads(path.read_text(encoding="utf-8"))
    rows = [[name, *(wilson(*found[name]) for found in columns.values())] for name in SEARCHES]
    table = ResultTable(["search", *columns], rows)
    print(table.markdown())
    if args.json:
        write_tables(args.json, {"searches": table})


if __name__ == "__main__":
    with one_line():
        main()
