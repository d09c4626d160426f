"""What becomes of concepts that no row of a redaction holds? Students of several settings side by side.

    OMP_NUM_THREADS=1 python scripts/experiments/never_retained.py --out out/never_retained

No list of what shall stay is complete. Here half of the bundled vocabulary, drawn by the seed, is taken out of the
retained rows by all its names, and every setting is trained on what is left. Then prompts of that half are drawn by
the untouched model and by the student, same seeds: the *nearest* to the redacted concept, and the *others*. Shown are
the share in which the grader finds the concept that was asked for (Wilson's 95 % intervals), how far its features
move, where another seed of the untouched model gives the scale, and how far the conditioning moves, in percent of
the distance to the same prompt about another concept. The seconds are the process's CPU time.
Finished settings are kept in OUT; the command goes on where it was stopped. Their table is in
OUT/CONCEPT_tables.json; with other rows, their names stand in front of ``tables``.
"""

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from trained_settings import add_row_options, folder_name, row_label, trained

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.metrics.grader import Judge, Verdict
from modalities.text_to_image.metrics.grading import sample
from modalities.text_to_image.prompts.phrasing import draw
from modalities.text_to_image.prompts.retained_prompts import mentions
from modalities.text_to_image.prompts.vocabulary import Concept
from redact_core import Lesson, Request
from redact_core.metrics.statistics import wilson
from redact_core.objectives.distances import conditioning_distance

SETTINGS = ["Distillation", "Distillation: {start: {class_path: redact_core.ClosedForm}}", "ClosedForm"]
NEAREST = 10
HEADS = ["setting", "group", "found", "features move", "conditioning moves", "processor seconds"]


@dataclass(frozen=True)
class Asked:
    """A prompt of a concept that no row holds, and the same prompt about another concept."""

    concept: str
    prompt: str
    other: str


def without(rows: list[Lesson], concepts: list[Concept]) -> list[Lesson]:
    """The rows that are redacted or name none of the ``concepts``, by any of their names."""
    names = {name.lower() for x in concepts for name in (x.name, *x.seen, *x.heldout)}
    names |= {name + end for name in names for end in ("s", "es")}
    return [row for row in rows if row.redacted or not mentions(str(row.asked), names)]


def prompts(model: StableDiffusion, names: list[str], n: int, rng: random.Random) -> list[Asked]:
    """``n`` prompts, the names in turn, each in a random wording, style and setting."""
    found = []
    for i in range(n):
        name, words = names[i % len(names)], draw(rng, "both")
        place = rng.choice(model.vocabulary.styles), rng.choice(model.vocabulary.settings)
        other = rng.choice([x for x in model.vocabulary.concepts if x != name])
        found.append(Asked(name, words.fill(name, *place), words.fill(other, *place)))
    return found


@torch.no_grad()
def moved(model: StableDiffusion, base: StableDiffusion, asked: list[Asked]) -> float:
    """Mean distance of the student's answers to the untouched model's, over that between two concepts."""
    said, before = (m.encode([x.prompt for x in asked]) for m in (model, base))
    other = base.encode([x.other for x in asked])
    return (conditioning_distance(said, before).mean() / conditioning_distance(other, before).mean()).item()


def table_rows(
    name: str, groups: dict[str, list[Asked]], figures: dict[str, dict[str, float]], seconds: float | None
) -> list[list[Cell]]:
    """A line a group of one setting, as :data:`HEADS` has it."""
    cost = "" if seconds is None else f"{seconds:.0f}"
    return [
        [
            name, label, wilson(round(figures[label]["found"]), len(asked)), f"{figures[label]['features']:.2f}",
            f"{100 * figures[label]['moved']:.1f} %" if "moved" in figures[label] else "", cost,
        ]
        for label, asked in groups.items()
    ]  # fmt: skip


def lines(name: str, groups: dict[str, list[Asked]], figures: dict[str, dict[str, float]]) -> Iterator[str]:
    for label, asked in groups.items():
        here = figures[label]
        share = f"  conditioning {100 * here['moved']:5.1f} %" if "moved" in here else ""
        yield (
            f"  {label:<9} {name:<12} found {wilson(round(here['found']), len(asked))}  "
            f"features {here['features']:.2f}{share}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--concept", default="cigarette")
    parser.add_argument("--reference", default="lollipop")
    parser.add_argument("--settings", nargs="+", default=SETTINGS)
    add_row_options(parser)
    parser.add_argument("--steps", type=int, default=220)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--n", type=int, default=200, help="Prompts of each group.")
    parser.add_argument("--seed", type=int, default=0, help="Of the half, the prompts and the training.")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    base, judge, rng = StableDiffusion("bundled", batch_size=50), Judge(), random.Random(args.seed)
    base.implicit_synonyms = args.implicit_synonyms
    rest = [name for name in base.vocabulary.concepts if name not in (args.concept, args.reference)]
    never = set(rng.sample(rest, len(rest) // 2))
    order = [name for name in base.nearest(args.concept, len(rest)) if name in never]
    groups = {
        "nearest": prompts(base, order[:NEAREST], args.n, rng),
        "others": prompts(base, order[NEAREST:], args.n, rng),
    }
    everything = base.vocabulary
    known = {name: concept for name, concept in everything.concepts.items() if name not in never}
    # neither wordings of redacted rows nor what is looked for in the model may know them
    base.vocabulary = replace(everything, concepts=known)
    lessons = base.expand(Request((args.concept,), (args.reference,), tuple(args.retain)))
    base.vocabulary = everything
    rows = without(lessons, [everything.concepts[name] for name in never])
    print(f"{len(rows)} of {len(lessons)} rows name none of the {len(never)} concepts of the half.")

    def judged(model: StableDiffusion, label: str, seed: int) -> Verdict:
        return judge(sample(model, [x.prompt for x in groups[label]], seed, label))

    def hits(verdict: Verdict, label: str) -> int:
        return sum(a == x.concept for a, x in zip(verdict.concepts, groups[label], strict=True))

    before = {label: judged(base, label, 0) for label in groups}
    again = {label: judged(base, label, 100_000) for label in groups}
    floor = {
        label: {"found": hits(before[label], label), "features": _apart(before[label], again[label])}
        for label in groups
    }
    print("untouched", *lines("another seed", groups, floor), sep="\n", flush=True)
    rows_shown = table_rows("untouched", groups, floor, None)
    for entry in args.settings:
        training = f"{args.concept}_{row_label(args)}{args.steps}x{args.batch_size}_{args.seed}"
        name = folder_name(entry, training)
        seconds = trained(
            base.reopen(base.folder), rows, entry, args.out / name, steps=args.steps,
            batch_size=args.batch_size, seed=args.seed,
        )  # fmt: skip
        model, kept = base.reopen(args.out / name), args.out / f"{name}.{args.n}.json"
        if not kept.exists():
            after = {label: judged(model, label, 0) for label in groups}
            figures = {
                label: {
                    "found": hits(after[label], label),
                    "features": _apart(before[label], after[label]),
                    "moved": moved(model, base, asked),
                }
                for label, asked in groups.items()
            }
            kept.write_text(json.dumps(figures, indent=1, allow_nan=False), encoding="utf-8")
        figures = json.loads(kept.read_text(encoding="utf-8"))
        print(f"{entry}: {seconds:.0f} s", *lines("student", groups, figures), sep="\n", flush=True)
        rows_shown += table_rows(entry, groups, figures, seconds)
    table = ResultTable(HEADS, rows_shown, digits=1, counts=True)
    write_tables(args.out / f"{args.concept}_{row_label(args)}tables.json", {"hidden": table})


def _apart(one: Verdict, other: Verdict) -> float:
    return (one.features - other.features).norm(dim=1).mean().item()


if __name__ == "__main__":
    with one_line():
        main()
