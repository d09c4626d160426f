"""Ten redactions at once and one more added later: do the earlier ones still hold? Resumable.

    OMP_NUM_THREADS=1 python scripts/experiments/many_redactions.py --out out/many

Ten concepts are redacted from the bundled base together. Then an owner is told of an eleventh.
*eleven*: it is redacted from *that* model, which is now the teacher: the ten are retained conditions by
then, answered as their references. *again*: all eleven are redacted from the untouched model, but the
student starts where the ten are redacted already. All models are measured alike, plain and attacked by
what adapts to the model attacked; the leak is the share of pictures in which the bundled grader finds
the concept that was asked for. Wilson's 95 % intervals over all ten concepts together.
"""

import argparse
import json
from pathlib import Path

from robust_picture import drawn, pairs
from trained_settings import trained

from lightning_modules.support.one_line import one_line
from lightning_modules.support.specs import build, spec_of
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from redact_core import Attack, PlanRow, Request
from redact_core.attacks.success import leaks
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import write_whole

TEN = {
    "cigarette": "lollipop", "guitar": "violin", "bomb": "balloon", "dagger": "key", "tiger": "horse",
    "beer": "coffee", "pizza": "cheese", "airplane": "kite", "skull": "pumpkin", "bee": "butterfly",
}  # fmt: skip
LATER = ("taxi", "bus")
ROBUST = (
    "RobustDistillation: {radius: 2, share: 0.25, words: 0.5, places: 16, retain_weight: 3, "
    "retained_share: 0, name_replacement: 8, start: {class_path: redact_core.ClosedForm}}"
)
AGAIN = ROBUST.replace("redact_core.ClosedForm", "redact_core.FromFolder, init_args: {folder: FOLDER}")
"""All eleven from the untouched model, starting at FOLDER, where the ten are redacted already."""
ATTACKS = ["PEZ: {tokens: 8, steps: 60, checks: 4}"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--objective", default=ROBUST, help='Of the ten, such as "Distillation".')
    parser.add_argument("--later", default=ROBUST, help="Objective of the eleventh.")
    parser.add_argument("--steps", type=int, default=400, help="Of each training.")
    parser.add_argument(
        "--steps-again", type=int, default=200, help="Of the training that starts at the ten."
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--attacks", nargs="*", default=ATTACKS)
    parser.add_argument("--n", type=int, default=10, help="Prompts of a group for each concept.")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    base, success = StableDiffusion("bundled", batch_size=20), GraderScorer()
    ten, later = Request(tuple(TEN), tuple(TEN.values())), Request((LATER[0],), (LATER[1],))
    how = {"steps": args.steps, "batch_size": args.batch_size, "seed": args.seed}
    seconds = {"ten": trained(base.reopen(base.folder), ten, args.objective, args.out / "ten", **how)}
    seconds["eleven"] = trained(base.reopen(args.out / "ten"), later, args.later, args.out / "eleven", **how)
    every = Request((*ten.redact, *later.redact), (*ten.references, *later.references))
    again = AGAIN.replace("FOLDER", str(args.out / "ten"))
    how["steps"] = args.steps_again
    seconds["again"] = trained(base.reopen(base.folder), every, again, args.out / "again", **how)
    groups: dict[str, list[PlanRow]] = {}
    for row in base.plan(ten, args.n):
        if row.labels["concept"] != LATER[0] or row.redacted:
            groups.setdefault(row.group, []).append(row)
    groups["the eleventh"] = [row for row in base.plan(later, 10 * args.n) if row.group == "redacted"]
    gone = {*every.redact}
    groups["pairs"] = pairs(groups["retained"], [n for n in base.vocabulary.concepts if n not in gone])
    kept = args.out / "table.json"
    table: dict[str, list[int]] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    print(f"CPU seconds: {seconds}")
    models = {"untouched": base} | {name: base.reopen(args.out / name) for name in seconds}
    jobs = [
        (label, label, None)
        for label in ("redacted", "reworded", "the eleventh", "neighbours", "retained", "pairs")
    ]
    jobs += [
        ("redacted", attack.name, attack) for attack in (build(Attack, spec_of(x)) for x in args.attacks)
    ]
    for group, label, attack in jobs:
        rows = groups[group]
        for name, model in models.items():
            key = f"{label}, {name}"
            if key not in table:
                table[key] = [
                    sum(leaks(success, model, drawn(model, rows, success, attack), rows)),
                    len(rows),
                ]
                write_whole(kept, json.dumps(table, indent=1, allow_nan=False).encode())
            print(f"{label:<16} {name:<10} {wilson(*table[key])}", flush=True)


if __name__ == "__main__":
    with one_line():
        main()
