"""Selective Amnesia on the bundled class-conditional base: every class in turn, and what each term is for.

    python scripts/experiments/amnesia_table.py --out runs/amnesia
    python scripts/experiments/amnesia_table.py --out runs/amnesia --classes trouser --surrogates noise --variants full
    python scripts/experiments/amnesia_table.py --out runs/amnesia_ddpm --source bundled-ddpm --fisher-times 20 ...

A finished cell is a file in OUT and is not computed again unless the settings have changed. The
judge is independent of the base. All models get the same seeds.
"""

import argparse
import json
import resource
import time
from itertools import product
from pathlib import Path

import torch
from tqdm import tqdm

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.class_to_image import ClassConditional
from modalities.class_to_image.classifier import Judge, entropy
from redact_core import Request, SelectiveAmnesia, redact
from redact_core.metrics.statistics import wilson
from redact_core.objectives._parts.replay import noise_like

REFERENCE = {
    "t-shirt": "trouser", "trouser": "shirt", "pullover": "sneaker", "dress": "bag", "coat": "sandal",
    "sandal": "coat", "shirt": "trouser", "sneaker": "bag", "bag": "sneaker", "ankle boot": "dress",
}  # fmt: skip
"""What a class becomes: another one that it is seldom mistaken for."""
VARIANTS = {
    "full": {},
    "without EWC": {"ewc_weight": 0.0},
    "without replay": {"replay_weight": 0.0},
    "without both": {"ewc_weight": 0.0, "replay_weight": 0.0},
}


def figures(model: ClassConditional, judge: Judge, gone: str, n: int, n_kept: int) -> dict:
    """What the judge sees in pictures of ``gone`` and of every other class."""
    said = judge(model.generate([gone] * n, seeds=range(n)))
    names = [name for name in model.names if name != gone]
    kept = {}
    for i, name in enumerate(names):
        first = 10**6 * (i + 1)
        seen = judge(model.generate([name] * n_kept, seeds=range(first, first + n_kept)))
        kept[name] = (seen.argmax(1) == judge.names.index(name)).sum().item()
    return {
        "probability": said[:, judge.names.index(gone)].mean().item(),
        "found": (said.argmax(1) == judge.names.index(gone)).sum().item(),
        "entropy": entropy(said).mean().item(),
        "seen as": judge.names[said.mean(0).argmax()],
        "n": n,
        "kept": kept,
        "n kept": n_kept,
    }


def of_base(args: argparse.Namespace, base: ClassConditional, judge: Judge, gone: str) -> dict:
    """:func:`figures` of the untouched model, drawn once for all variants."""
    path = args.out / f"base.{gone}.{args.n}.{args.n_kept}.json".replace(" ", "_")
    if not path.exists():
        path.write_text(json.dumps(figures(base, judge, gone, args.n, args.n_kept), allow_nan=False))
    return json.loads(path.read_text())


def of_surrogate(base: ClassConditional, judge: Judge, gone: str, surrogate: str, n: int) -> dict:
    """What the judge makes of the surrogate's own samples: where forgetting leads if it succeeds."""
    if surrogate == "noise":
        like = base.generate([gone], seeds=[0])[0]
        samples = [noise_like(like, seed) for seed in range(n)]
    else:
        samples = base.generate([REFERENCE[gone]] * n, seeds=range(n))
    said = judge(samples)
    return {
        "probability": said[:, judge.names.index(gone)].mean().item(),
        "entropy": entropy(said).mean().item(),
        "seen as": judge.names[said.mean(0).argmax()],
    }


def cell(args: argparse.Namespace, judge: Judge, gone: str, surrogate: str, variant: str) -> dict:
    settings = {"ewc_weight": args.ewc, "learning_rate": args.lr, "fisher_samples": args.fisher_samples}
    settings |= {
        "surrogates": args.samples,
        "replays": args.samples if args.replays is None else args.replays,
        "replay_weight": args.replay,
    } | VARIANTS[variant]
    settings |= {"parameters": args.parameters} if args.parameters else {}
    settings |= {} if args.fisher_times is None else {"fisher_times": args.fisher_times}
    told = settings | {
        "steps": args.steps,
        "batch": args.batch,
        "seed": args.seed,
        "n": args.n,
        "n kept": args.n_kept,
    }
    told |= {} if args.source == "bundled" else {"source": args.source}
    path = args.out / f"{gone}.{surrogate}.{variant}.json".replace(" ", "_")
    if path.exists():
        found = json.loads(path.read_text())
        if found["settings"] == told:
            return found
    base, model = ClassConditional(args.source), ClassConditional(args.source)
    # one Fisher for all classes: it is taken over all of them and belongs to the base
    times = f".{args.fisher_times}" if args.fisher_times else ""
    fisher = args.out / f"fisher.{args.fisher_samples}{times}.{args.seed}.safetensors"
    began = time.perf_counter()
    objective = SelectiveAmnesia(surrogate=surrogate, fisher=fisher, **settings)
    request = Request((gone,), (REFERENCE[gone],), seed=args.seed)
    redact(model, request, objective=objective, steps=args.steps, batch_size=args.batch, seed=args.seed)
    seconds = time.perf_counter() - began
    found = {
        "class": gone, "surrogate": surrogate, "variant": variant, "settings": told,
        "base": of_base(args, base, judge, gone),
        "after": figures(model, judge, gone, args.n, args.n_kept),
        "of surrogate": of_surrogate(base, judge, gone, surrogate, args.n),
        "seconds": seconds,
        "memory (MB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip
    path.write_text(json.dumps(found, indent=1, allow_nan=False))
    return found


HEADS = [
    "class", "surrogate", "variant", "p before", "p after", "p of surrogate", "entropy", "of surrogate", "seen as",
    "others found, base", "after", "worst class, points",
]  # fmt: skip


def row(found: dict) -> list[Cell]:
    base, after, own = found["base"], found["after"], found["of surrogate"]
    n = base["n kept"] * len(base["kept"])
    before, now = (wilson(sum(part["kept"].values()), n) for part in (base, after))
    lost = {name: (base["kept"][name] - after["kept"][name]) / base["n kept"] for name in base["kept"]}
    worst = max(lost, key=lambda name: lost[name])
    return [
        found["class"], found["surrogate"], found["variant"], f"{base['probability']:.3f}",
        f"{after['probability']:.3f}", f"{own['probability']:.3f}", f"{after['entropy']:.2f}",
        f"{own['entropy']:.2f}", after["seen as"], f"{100 * before.value:.1f} %", now,
        f"{worst} {-100 * lost[worst]:+.1f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", default="bundled", help="bundled or bundled-ddpm; one --out for each")
    parser.add_argument("--classes", nargs="+", default=list(REFERENCE))
    parser.add_argument("--surrogates", nargs="+", default=["reference", "noise"])
    parser.add_argument("--variants", nargs="+", default=["full"], choices=list(VARIANTS))
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--ewc", type=float, default=1.0)
    parser.add_argument("--parameters", default="", help="regular expression; default: all")
    parser.add_argument("--replay", type=float, default=3.0)
    parser.add_argument("--samples", type=int, default=2048, help="surrogates, and as many replays")
    parser.add_argument("--replays", type=int, help="if more than surrogates")
    parser.add_argument("--fisher-samples", type=int, default=1000)
    parser.add_argument("--fisher-times", type=int, help="time steps of each sample; default: all")
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--n-kept", type=int, default=300, help="of each other class")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    judge = Judge()
    cells = list(product(args.classes, args.surrogates, args.variants))
    table = ResultTable(HEADS, [row(cell(args, judge, *one)) for one in tqdm(cells, unit="cell")], digits=1)
    write_tables(args.out / "tables.json", {"classes": table})
    print(table.markdown())


if __name__ == "__main__":
    with one_line():
        main()
