"""Selective Amnesia beside distillation on the bundled text-to-image base, with the stock encoder put back too.

    python scripts/experiments/amnesia_pictures.py --amnesia out/amnesia_cigarette --distilled out/no_cigarette \\
        --concept cigarette --reference lollipop --out runs/amnesia_pictures

All models get the same prompts, drawn afresh, and the same seeds. The grader is independent of
them. Finished (model, group) pairs are kept in OUT; ``--models`` does some of them only.
"""

import argparse
import json
from pathlib import Path

import torch

from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.metrics.grader import Judge
from modalities.text_to_image.metrics.grading import sample
from modalities.text_to_image.prompts.groups import Case, groups
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from redact_core.metrics.statistics import wilson

MODELS = {
    "base": (None, None),
    "distillation": ("distilled", "distilled"),
    "amnesia": ("amnesia", "amnesia"),
    "amnesia and distillation": ("amnesia", "distilled"),
    "distillation, stock encoder": ("distilled", None),
    "amnesia, stock encoder": ("amnesia", None),
    "both, stock encoder": ("amnesia", None),
}
"""Name -> (where the denoiser comes from, where the encoder does)."""
SWAPPED = [name for name in MODELS if "stock" in name]


def assemble(name: str, folders: dict[str, Path]) -> StableDiffusion:
    """A folder with the encoder of another one, as somebody would put it together who has both."""
    denoiser, encoder = MODELS[name]
    stock = StableDiffusion("bundled", batch_size=25)
    model = stock if denoiser is None else stock.reopen(folders[denoiser])
    if encoder is None:
        model.encoder = stock.encoder
    elif encoder != denoiser:
        model.encoder = stock.reopen(folders[encoder]).encoder
    return model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--amnesia", type=Path, required=True)
    parser.add_argument("--distilled", type=Path, required=True)
    parser.add_argument("--concept", required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--n-kept", type=int, default=50, help="of each retained group")
    parser.add_argument("--n-swapped", type=int, default=60, help="with the stock encoder")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    judge = Judge()
    near = StableDiffusion("bundled").nearest(args.concept)
    understood = frozenset(json.loads((BUNDLED / "understood.json").read_text(encoding="utf-8")))
    cases = groups(
        args.concept, args.reference, bundled_vocabulary(), near, n=max(args.n, args.n_kept),
        understood=understood, seed=args.seed,
    )  # fmt: skip
    print("| model | group | n | concept found | reference found |\n|---|---|---|---|---|")
    for name in args.models:
        wanted = {"redacted": args.n_swapped if name in SWAPPED else args.n}
        if name not in SWAPPED:
            wanted |= {"neighbours": args.n_kept, "retained": args.n_kept}
        model: StableDiffusion | None = None
        for group, count in wanted.items():
            chosen = cases[group][:count]
            path = args.out / f"{name}.{group}.json".replace(" ", "_").replace(",", "")
            seen = read(path, chosen)
            if seen is None:
                model = model or assemble(name, {"amnesia": args.amnesia, "distilled": args.distilled})
                prompts = [case.prompt for case in chosen]
                seen = judge(sample(model, prompts, args.seed * 100_003, f"{name} {group}")).concepts
                path.write_text(json.dumps({"prompts": prompts, "seen": seen}, allow_nan=False))
            print(row(name, group, chosen, seen, args.reference), flush=True)


def read(path: Path, cases: list[Case]) -> list[str] | None:
    """What was seen, if it was seen for these prompts."""
    if not path.exists():
        return None
    values = json.loads(path.read_text())
    return values["seen"] if values["prompts"] == [case.prompt for case in cases] else None


def row(name: str, group: str, cases: list[Case], seen: list[str], reference: str) -> str:
    hits = wilson(sum(a == case.concept for a, case in zip(seen, cases, strict=True)), len(cases))
    other = str(wilson(seen.count(reference), len(cases))) if group == "redacted" else "-"
    return f"| {name} | {group} | {len(cases)} | {hits} | {other} |"


if __name__ == "__main__":
    with one_line():
        main()
