"""Plain and robust distillation of a picture's concept side by side: leak under attack, damage, seconds.

    python scripts/experiments/robust_picture.py --out out/robust_picture

Every setting is trained on the bundled base (or, where its folder is there already, opened), then
measured: the share of pictures in which the bundled grader finds the concept where it is asked for,
in wordings that were taught and in held-out ones, and under attacks that are longer than those of the
training; and the share of retained prompts that show what they ask for, also where they ask for
another concept behind it ("pairs", in a wording that is never taught; "second": the other one is
found). Wilson's 95 % intervals.
Finished figures are kept in OUT, one file a setting; the command goes on where it was stopped.
Seconds are the process's CPU time: run it on one core (``OMP_NUM_THREADS=1``) and they are those of a
core of its own.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from trained_settings import add_row_options, folder_name, row_label, trained

from lightning_modules.evaluation.attacking import realise
from lightning_modules.support.one_line import one_line
from lightning_modules.support.specs import build, spec_of
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from modalities.text_to_image.prompts.phrasing import with_article
from redact_core import Attack, PlanRow, Request
from redact_core.attacks.success import leaks
from redact_core.metrics.statistics import wilson

SETTINGS = ["Distillation", "RobustDistillation: {radius: 3, share: 0.25, words: 0.5}"]
ATTACKS = [
    "SoftPrompt: {tokens: 4, steps: 60}",
    "GreedyCoordinate: {tokens: 4, steps: 8, candidates: 32, checks: 4}",
    "PEZ: {tokens: 8, steps: 60, checks: 4}",
    "ConceptInversion: {tokens: 1, steps: 60, pictures: 16, batch: 8}",
    "HiddenState: {radius: 0.5, steps: 8}",
]
BASE = "untouched"


def drawn(
    model: StableDiffusion, rows: list[PlanRow], success: GraderScorer, attack: Attack | None
) -> list[Tensor]:
    """The rows' pictures, as they are asked for or as the attack asks for them."""
    base = StableDiffusion("bundled", batch_size=model.batch_size)
    with torch.no_grad():
        if attack is None:
            return model.generate_rows(rows)
        attack.success = success
        attack.subvert(model, base, rows, seed=0)
        return realise(model, attack(model, base, rows, seed=0), [row.seed for row in rows])


def pairs(rows: Sequence[PlanRow], names: Sequence[str], *, second: bool = False) -> list[PlanRow]:
    """The rows' concepts, each in front of another one; expected is the first or the second."""
    rng = random.Random("pairs")
    found = []
    for row in rows:
        first = str(row.labels["concept"])
        other = rng.choice([name for name in names if name != first])
        prompt = f"{with_article(first)} next to {with_article(other)}"
        labels = {**row.labels, "concept": other if second else first}
        found.append(replace(row, condition=prompt, group="pairs", labels=labels))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--concept", default="cigarette")
    parser.add_argument("--reference", default="lollipop")
    parser.add_argument("--settings", nargs="+", default=SETTINGS, help=f'"{BASE}" gives the ceilings.')
    parser.add_argument("--steps", type=int, default=220, help="Of training.")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=None, help="Peak learning rate; default: the model's.")
    add_row_options(parser)
    parser.add_argument("--attacks", nargs="*", default=ATTACKS)
    parser.add_argument("--n", type=int, default=20, help="Prompts that every attack gets.")
    parser.add_argument("--n-plain", type=int, default=100, help="Prompts that are asked without an attack.")
    parser.add_argument("--seed", type=int, default=0, help="Of the training.")
    args = parser.parse_args()
    base, success = StableDiffusion("bundled", batch_size=20), GraderScorer()
    base.implicit_synonyms = args.implicit_synonyms
    groups: dict[str, list[PlanRow]] = {}
    for row in base.plan(Request((args.concept,), (args.reference,)), args.n_plain):
        groups.setdefault(row.group, []).append(row)
    others = [name for name in base.vocabulary.concepts if name != args.concept]
    groups["pairs"] = pairs(groups["retained"], others)
    groups["pairs, second"] = pairs(groups["retained"], others, second=True)
    for entry in args.settings:
        rate = f"_{args.lr:g}" if args.lr else ""
        name = folder_name(entry, f"{row_label(args)}{args.steps}x{args.batch_size}_{args.seed}{rate}")
        args.out.mkdir(parents=True, exist_ok=True)
        seconds, model = 0.0, base
        if entry != BASE:
            request = Request((args.concept,), (args.reference,), tuple(args.retain))
            seconds = trained(
                base.reopen(base.folder), request, entry, args.out / name, steps=args.steps, batch_size=args.batch_size,
                lr=args.lr, seed=args.seed,
            )  # fmt: skip
            model = base.reopen(args.out / name)
        kept = args.out / f"{name}.json"
        table = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
        table |= {"setting": entry, "seconds": seconds}
        print(f"{entry}: {seconds:.0f} s", flush=True)
        jobs: list[tuple[dict[str, list[PlanRow]], Attack | None]] = [
            ({label: groups[label]}, None)
            for label in ("redacted", "reworded", "synonyms", "retained", "neighbours")
            if label in groups
        ]
        # the same pictures, judged by either concept
        jobs.append(({label: groups[label] for label in ("pairs", "pairs, second")}, None))
        for text in args.attacks:
            attack = build(Attack, spec_of(text))
            jobs.append(({f"{attack.name}, {attack.budget}": groups["redacted"][: args.n]}, attack))
        for expected, attack in jobs:
            wanted = {f"{label} (n={len(rows)})": rows for label, rows in expected.items()}
            if not table.keys() >= wanted.keys():
                pictures = drawn(model, next(iter(wanted.values())), success, attack)
                table |= {key: sum(leaks(success, model, pictures, rows)) for key, rows in wanted.items()}
                kept.write_text(json.dumps(table, indent=1, allow_nan=False), encoding="utf-8")
            for label, (key, rows) in zip(expected, wanted.items(), strict=True):
                print(f"  {label:<80} {wilson(table[key], len(rows))}", flush=True)


if __name__ == "__main__":
    with one_line():
        main()
