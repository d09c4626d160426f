"""Ever more concepts redacted together from one model: what leaks, what is damaged, how long it takes. Resumable.

    OMP_NUM_THREADS=1 python scripts/experiments/many_at_once.py --out out/many_at_once
    python scripts/experiments/many_at_once.py --out out/many_at_once --cost ARTISTS.csv --counts 1 1734

Concepts of the bundled base are drawn by the seed, in one order: the redaction of ten holds the five of the redaction of
five. Each gets its default reference, and all default settings. Then one more is redacted from the largest model, *later*:
that model is its teacher. Grader, n pictures a group, shared out evenly among the concepts: *redacted* and *reworded*, asked by
a listed name in a known and in a held-out wording; *first*, the concept that was redacted in every model, so that its rows
are one column of the revival matrix; *nearest*, the ten kept concepts that lie nearest to each of the redacted, asked for;
*others*, kept concepts drawn by chance. Each is also asked of the untouched base.

With ``--cost``, styles of a CSV file (column ``concept``) are redacted in closed form, from the bundled text encoder or from one of
CLIP-L's size with random weights: processor seconds, peak memory and rows alone. ``--disturbed 0`` leaves the rows with random
words in front away, and ``--every 8`` takes each eighth row alone, redacted and retained.
"""

import argparse
import csv
import json
import multiprocessing
import random
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from chance_concepts import Bench, drawn_by_chance
from real_size import prompts as clip_l

from lightning_modules.support.one_line import one_line
from lightning_modules.support.specs import build, spec_of
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.prompts.groups import Case, groups
from modalities.text_to_image.prompts.vocabulary import general_vocabulary
from redact_core import ClosedForm, Objective, Request, redact
from redact_core.evaluation.cost import Meter
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import new_folder, write_whole

GROUPS = ("redacted", "reworded", "first", "nearest", "others")
NEAREST = 10
Row = dict[str, Any]


def cases(base: StableDiffusion, names: Sequence[str], n: int, seed: int) -> dict[str, list[Case]]:
    """``n`` prompts of each group."""
    gone, vocabulary = set(names), base.vocabulary
    found: dict[str, list[Case]] = {group: [] for group in GROUPS}
    share = -(-n // len(names))
    for i, name in enumerate(names):
        near = [x for x in base.nearest(name, NEAREST + len(names)) if x not in gone][:NEAREST]
        own = groups(name, near[0], vocabulary, near, n=n, seed=seed)
        for group in ("redacted", "reworded"):
            found[group] += own[group][:share]
        # an even share of each, and not the nearest of each alone
        found["nearest"] += random.Random(f"nearest:{seed}:{name}").sample(own["neighbours"], share)
        if i == 0:
            found["first"] = own["redacted"]
            found["others"] = [case for case in own["retained"] if case.concept not in gone]
    return {group: some[:n] for group, some in found.items()}


def quality(args: argparse.Namespace) -> None:
    """Leak, damage and seconds for each count, and of the one that is redacted later."""
    path = args.out / "results.json"
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    bench = Bench(device=args.device)
    most = max(args.counts)
    *names, later = drawn_by_chance(most + 1, args.seed)
    every = [(str(count), names[:count], None) for count in args.counts]
    every += [("later", [*names, later], args.out / f"model_{most}")] if args.later else []
    for label, gone, teacher in every:
        if any(row["count"] == label for row in rows):
            continue
        model, seconds, made = redacted(bench, label, gone, teacher, args)
        groups_of = cases(bench.base, gone, args.n, args.seed)
        if teacher is not None:  # the one that was redacted alone, for a column of its own
            groups_of["the later one"] = cases(bench.base, [later], args.n, args.seed)["redacted"]
            groups_of["first"] = cases(bench.base, names, args.n, args.seed)["first"]
        new: list[Row] = []
        for group, some in groups_of.items():
            row: Row = {"count": label, "group": group, "n": len(some), "seconds": seconds, "rows": made}
            for name, drawer in (("base", bench.base), ("after", model)):
                row[name] = bench.found(drawer, some, "prompt")
                rate = wilson(row[name], len(some))
                row[f"{name} interval"] = [rate.low, rate.high]
            new.append(row)
            print(row, flush=True)
        rows += new
        text = json.dumps({"settings": settings_of(args), "rows": rows}, indent=1, allow_nan=False)
        write_whole(path, (text + "\n").encode())


def settings_of(args: argparse.Namespace) -> Row:
    return {name: getattr(args, name) for name in ("objective", "n", "seed", "most_rows")}


def redacted(
    bench: Bench, label: str, names: Sequence[str], teacher: Path | None, args: argparse.Namespace
) -> tuple[StableDiffusion, float, int]:
    """The model, processor seconds and redacted rows of a redaction; a saved one is opened again."""
    folder = args.out / f"model_{label}"
    notes = args.out / f"model_{label}.json"
    if not notes.exists():
        model = bench.opened(teacher)
        if args.most_rows:
            model.most_rows = args.most_rows
        objective = build(Objective, spec_of(args.objective)) if args.objective else None
        request = Request((names[-1],) if teacher else tuple(names), seed=args.seed)
        began = time.process_time()
        done = redact(model, request, objective=objective, seed=args.seed)
        known = {
            "seconds": time.process_time() - began,
            "rows": sum(row.redacted for row in done.work.lessons),
        }
        with new_folder(folder) as part:
            model.save(part)
        write_whole(notes, json.dumps(known, allow_nan=False).encode())
    known = json.loads(notes.read_text(encoding="utf-8"))
    return bench.opened(folder), known["seconds"], known["rows"]


def cost(names: Sequence[str], disturbed: int, size: str, every: int = 1) -> Row:
    """Of so many styles, in this process."""
    torch.manual_seed(0)  # of the random weights
    torch.set_num_threads(1)
    model = clip_l()[0] if size == "CLIP-L" else StableDiffusion("bundled")
    model.vocabulary, model.bundled = general_vocabulary(), False
    with Meter("cpu") as meter:
        began = time.process_time()
        lessons = model.expand(Request(tuple(f"style: {name}" for name in names)))[::every]
        made = time.process_time() - began
        ClosedForm(disturbed=disturbed).solve(model, lessons)
        spent = time.process_time() - began
    gone = sum(row.redacted for row in lessons)
    return {
        "styles": len(names), "seconds": round(spent, 1), "of which rows": round(made, 1),
        "peak_bytes": meter.peak_bytes, "redacted rows": gone, "retained rows": len(lessons) - gone, "disturbed": disturbed,
        "encoder": size, "every": every,
    }  # fmt: skip


def costs(args: argparse.Namespace) -> None:
    """Every count in a process of its own."""
    with args.cost.open(encoding="utf-8", newline="") as file:
        names = list(dict.fromkeys(row["concept"] for row in csv.DictReader(file)))
    path = args.out / "cost.json"
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    for count in args.counts:
        if any(
            (row["styles"], row["disturbed"], row["encoder"], row.get("every", 1))
            == (count, args.disturbed, args.encoder, args.every)
            for row in rows
        ):
            continue
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            rows.append(pool.submit(cost, names[:count], args.disturbed, args.encoder, args.every).result())
        print(rows[-1], flush=True)
        write_whole(path, (json.dumps({"rows": rows}, indent=1, allow_nan=False) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 5, 10, 20, 50])
    parser.add_argument("--objective", default="", help='Default: the model\'s. Or such as "ClosedForm".')
    parser.add_argument("--n", type=int, default=100, help="Pictures of a group, of each model.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--most-rows", type=int, default=0, help="As the adapter's most_rows; 0: its default."
    )
    parser.add_argument("--later", action="store_true", help="Redact one more from the largest.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cost", type=Path, help="CSV of styles; only what it costs is measured.")
    parser.add_argument("--encoder", choices=("bundled", "CLIP-L"), default="bundled", help="Of --cost.")
    parser.add_argument("--disturbed", type=int, default=2, help="As ClosedForm's, of --cost.")
    parser.add_argument(
        "--every", type=int, default=1, help="Of --cost: only each so-manieth row, where all take hours."
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    (costs if args.cost else quality)(args)


if __name__ == "__main__":
    with one_line():
        main()
