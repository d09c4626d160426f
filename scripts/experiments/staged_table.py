"""Redact a noun from the staged base: all stages jointly or in turn, two sizes of student, beside rewriting.

    python scripts/experiments/staged_table.py --out runs/staged_table
    python scripts/experiments/staged_table.py --out runs/staged_table --redact sneaker --reference bag

A finished cell is a file in OUT and is not computed again unless the settings have changed. The judge,
`class_to_image`'s classifier, knows pictures only. All models get the same captions and seeds.

*Rewriting* is the rank-one edit of Bau et al. 2020 (arXiv 2007.15646), "Rewriting a Deep Generative Model",
at the embedding of words: there the keys are one-hot, and the edit is the reference's row in place of the
noun's. It is the same as replacing the word in the prompt.

*Search*: words in front of the caption, each in turn the one of the whole vocabulary (but for the class's
own nouns) that gives the redacted class the greatest probability in the mean of a few pictures; counted
on a picture of another seed. Its *floor* is the same search on the base, asked for the reference.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.class_to_image.classifier import Judge
from modalities.staged_to_image import StagedText
from modalities.staged_to_image.captions import compose
from redact_core import Conditioning, Distillation, Request, SequentialDistillation, redact
from redact_core.metrics.statistics import Rate, wilson

METHODS = (
    "base",
    "rewriting",
    "joint",
    "sequential",
    "sequential, longer",
    "joint, greater",
    "sequential, greater",
)


def carry_out(args: argparse.Namespace, method: str) -> tuple[StagedText, dict]:
    """The redacted model, and what it cost."""
    model = StagedText(args.source, "greater" if "greater" in method else "equal")
    if method == "base":
        return model, {}
    began, steps = time.process_time(), args.steps
    if method == "rewriting":
        table, words = model.encoder.get_parameter("text.embedding.weight"), model.config["words"]
        with torch.no_grad():
            table[1 + words.index(args.redact)] = table[1 + words.index(args.reference)].clone()
        return model, {"CPU seconds": time.process_time() - began, "parameters": table.shape[1]}
    objective = Distillation()
    if "sequential" in method:
        steps = 3 * steps if "longer" in method else steps
        objective = SequentialDistillation((steps // 3, steps // 3))
    request = Request((args.redact,), (args.reference,), seed=args.seed)
    redact(
        model, request, objective=objective, steps=steps, batch_size=args.batch, lr=args.lr, seed=args.seed
    )
    size = sum(p.numel() for p in model.encoder.parameters())
    return model, {"CPU seconds": time.process_time() - began, "parameters": size, "steps": steps}


def groups(args: argparse.Namespace, model: StagedText) -> dict[str, list[tuple[str, str]]]:
    """For each group, captions and the class that is looked for."""
    rng = random.Random(f"table:{args.seed}")
    other = model.config["classes"][args.redact]
    asked = {
        "asked": ("seen", args.redact),
        "reworded": ("heldout", args.redact),
        "synonyms": ("seen", other),
    }
    found = {
        name: [(text, args.redact) for (text,) in compose(split, (noun,), args.n, rng)]
        for name, (split, noun) in asked.items()
    }
    found["floor"] = [(text, args.redact) for (text,) in compose("seen", (args.reference,), args.n, rng)]
    for name in model.config["classes"]:
        if name != args.redact:
            found[f"retained {name}"] = [(t, name) for (t,) in compose("heldout", (name,), args.n_kept, rng)]
    return found


def seen(judge: Judge, model: StagedText, captions: list[str], first: int) -> torch.Tensor:
    """The class that the judge finds most probable, for one picture of each caption."""
    return judge(model.generate(captions, seeds=range(first, first + len(captions)))).argmax(1)


def search(args: argparse.Namespace, judge: Judge, model: StagedText, noun: str) -> list[dict]:
    """Words in front of captions about ``noun``, found by queries; and what is seen with another seed."""
    rng = random.Random(f"search:{args.seed}")
    aim = judge.names.index(args.redact)
    own = {args.redact, model.config["classes"][args.redact]}
    words = [word for word in model.config["words"] if word not in own]
    found = []
    for k, (caption,) in enumerate(tqdm(compose("seen", (noun,), args.n_search, rng), mininterval=10)):
        for _ in range(args.words):
            tried = [f"{word} {caption}" for word in words]
            said = model.encode(tried)
            every = torch.arange(len(tried)).repeat_interleave(args.looks)
            seeds = list(range(args.looks)) * len(tried)
            chance = judge(model.generate(said[every], seeds=seeds))[:, aim].view(-1, args.looks).mean(1)
            caption = tried[int(chance.argmax())]
        hit = seen(judge, model, [caption], 10**6 + k).item() == aim
        found.append({"caption": caption, "queries": args.words * len(words) * args.looks, "found": hit})
    return found


@torch.no_grad()
def swapped(args: argparse.Namespace, judge: Judge, model: StagedText) -> dict[str, dict[str, int]]:
    """Pictures of the reference, of which single stages hear the redacted noun: what is seen in them."""
    pairs = compose("seen", (args.redact, args.reference), args.n, random.Random(f"swap:{args.seed}"))
    ours, theirs = (model.encode(list(texts)) for texts in zip(*pairs, strict=True))
    found = {}
    sets = [("none", ()), *((s.name, (s,)) for s in model.stages())]
    sets += [("both memories", model.stages()[1:]), ("all", model.stages())]
    for name, stages in sets:
        hidden = theirs.hidden.clone()
        for stage in stages:
            hidden[:, stage.positions] = ours.hidden[:, stage.positions]
        first = judge(model.generate(Conditioning(hidden, theirs.mask), seeds=range(args.n))).argmax(1)
        found[name] = {c: (first == judge.names.index(c)).sum().item() for c in (args.redact, args.reference)}
    return found


def kept(path: Path, settings: dict, compute: Callable[[], dict]) -> dict:
    """What ``path`` holds for these settings, computed if it does not."""
    if path.exists():
        found = json.loads(path.read_text())
        if found["settings"] == settings:
            return found
    found = {"settings": settings, **compute()}
    path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    return found


@torch.no_grad()
def measured(args: argparse.Namespace, judge: Judge, model: StagedText) -> dict:
    """What is found in every group, and under search."""
    counts = {}
    for i, (name, rows) in enumerate(groups(args, model).items()):
        first = seen(judge, model, [text for text, _ in rows], 10_000 * i)
        wanted = torch.tensor([judge.names.index(label) for _, label in rows])
        counts[name] = {"found": (first == wanted).sum().item(), "n": len(rows)}
        if name == "asked":
            counts["reference"] = {
                "found": (first == judge.names.index(args.reference)).sum().item(), "n": len(rows),
            }  # fmt: skip
    return {"counts": counts, "search": search(args, judge, model, args.redact)}


def cell(args: argparse.Namespace, judge: Judge, method: str) -> dict:
    def compute() -> dict:
        model, cost = carry_out(args, method)
        found = cost | measured(args, judge, model)
        if method == "base":
            with torch.no_grad():
                found |= {"search floor": search(args, judge, model, args.reference)}
            found |= {"swapped": swapped(args, judge, model)}
        return found

    names = ("source", "redact", "reference", "steps", "batch", "lr", "n", "n_kept")
    settings = {k: getattr(args, k) for k in (*names, "n_search", "words", "looks", "seed")}
    path = args.out / f"{args.redact}.{method}.json".replace(" ", "_").replace(",", "")
    return kept(path, settings, compute)


def hits(rows: list[dict]) -> Rate:
    return wilson(sum(row["found"] for row in rows), len(rows))


def short(rate: Rate) -> str:
    return rate.percent() if rate.n else "not run"


HEADS = [
    "method", "CPU s", "parameters changed", "asked", "reworded", "synonyms", "under search", "reference found",
    "retained", "worst class, points",
]  # fmt: skip


def row(method: str, found: dict, base: dict) -> list[Cell]:
    counts = found["counts"]
    rate = {name: wilson(part["found"], part["n"]) for name, part in counts.items()}
    stay = [name for name in counts if name.startswith("retained ")]
    total = wilson(sum(counts[s]["found"] for s in stay), sum(counts[s]["n"] for s in stay))
    lost = {s: (counts[s]["found"] - base["counts"][s]["found"]) / counts[s]["n"] for s in stay}
    worst = min(lost, key=lambda name: lost[name])
    return [
        method, f"{found.get('CPU seconds', 0):.1f}", f"{found.get('parameters', 0):,}", rate["asked"],
        rate["reworded"], rate["synonyms"], hits(found["search"]), rate["reference"], total,
        f"{worst.removeprefix('retained ')} {100 * lost[worst]:+.1f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", default="bundled")
    parser.add_argument("--redact", default="trouser")
    parser.add_argument("--reference", default="bag")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--n", type=int, default=200, help="captions of each redacted group")
    parser.add_argument("--n-kept", type=int, default=60, help="captions of each other class")
    parser.add_argument("--n-search", type=int, default=20, help="captions that words are searched for")
    parser.add_argument("--words", type=int, default=2)
    parser.add_argument("--looks", type=int, default=3, help="pictures by which a word is chosen")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    judge = Judge()
    # the first optimiser of a process imports much, which is no method's cost
    redact(StagedText(args.source), Request((args.redact,), (args.reference,)), steps=1, batch_size=2)
    base = cell(args, judge, "base")
    floor = base["counts"]["floor"]
    print(
        f"{args.redact} -> {args.reference}; asked for the {args.reference}, the base shows the {args.redact} in "
        f"{short(wilson(floor['found'], floor['n']))}, under search in {short(hits(base['search floor']))}.\n"
    )
    heads = [
        "stages that read the redacted noun, the others the reference",
        "redacted found",
        "reference found",
    ]
    lines: list[list[Cell]] = [
        [name, *(wilson(count, args.n) for count in part.values())] for name, part in base["swapped"].items()
    ]
    tables = {
        "stages": ResultTable(heads, lines, digits=1),
        "methods": ResultTable(
            HEADS, [row(method, cell(args, judge, method), base) for method in args.methods], digits=1
        ),
    }
    write_tables(args.out / f"tables_{args.redact}.json", tables)
    print(*(table.markdown() for table in tables.values()), sep="\n\n")


if __name__ == "__main__":
    with one_line():
        main()
