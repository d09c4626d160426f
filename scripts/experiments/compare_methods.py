"""Methods side by side: same base, same budget of tuning, same attacks, same judge. Resumable.

    python scripts/experiments/compare_methods.py --out out/compare
    python scripts/experiments/compare_methods.py --out out/compare --methods UCE default --tasks cat guitar --n 50 --seeds 0
    python scripts/experiments/compare_methods.py --out out/compare --go-on-from docs/results/compare_chance
    python scripts/experiments/compare_methods.py --out out/compare_voices --modality voices
    python scripts/experiments/compare_methods.py --out out/compare --tasks cat --methods --folder theirs=PATH

Methods, tasks and attacks are listed in ``compare_pictures.py`` and ``compare_voices.py``; ``redact compare`` runs the same code on
any model. Every method is tuned alike: ``--trials`` settings, the first its authors' or our own, are tried on one development
concept that is not among the tasks. Of those that leave at most 5 % of its plain requests, the one is taken that keeps most of the
nearest; if none does, the one that leaves least. A folder that was made elsewhere is judged and attacked as it is.

Every figure is one line of OUT/rows.jsonl, written when it is known; the same command goes on where it was stopped, and opens the
models in OUT/models. Groups that have fewer prompts than ``--n`` are measured again. What was tried is in OUT/tuning.json.
OUT/results.json holds all rows with their ceilings, the same attack on the untouched base. A method that cannot be applied to the
model says why in one line and is left out.
"""

import argparse
from pathlib import Path

import compare_pictures
import compare_voices
import torch

from lightning_modules.comparison.running import Comparison, take_up
from lightning_modules.support.one_line import one_line
from lightning_modules.support.pairs import paired

MODALITIES = {"pictures": compare_pictures, "voices": compare_voices}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--modality", choices=tuple(MODALITIES), default="pictures")
    parser.add_argument("--methods", nargs="*", help="Default: all.")
    parser.add_argument("--tasks", nargs="+", help="Default: all.")
    parser.add_argument("--attacks", nargs="*", help="Default: all.")
    parser.add_argument("--n", type=int, default=100, help="Prompts or clips of a group.")
    parser.add_argument("--n-attacked", type=int, default=100, help="The same under each attack.")
    parser.add_argument("--n-tuned", type=int, default=40, help="The same while settings are tried.")
    parser.add_argument(
        "--trials", type=int, default=4, help="Settings tried for each method; 1 takes the defaults."
    )
    parser.add_argument("--untuned", nargs="*", default=[], help="Methods taken with their first settings.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="Of models and judge: cpu, cuda or cuda:1.")
    parser.add_argument(
        "--go-on-from",
        type=Path,
        metavar="RESULTS",
        help="A results.json, or a folder of such files, that a new OUT begins with.",
    )
    parser.add_argument(
        "--folder", nargs="*", default=[], metavar="NAME=PATH", help="Models made elsewhere for the one task."
    )
    args = parser.parse_args()
    known = MODALITIES[args.modality]
    for option, names in (("methods", known.METHODS), ("attacks", known.ATTACKS)):
        given = getattr(args, option)
        wrong = sorted({*(given or [])} - {*names})
        if wrong:
            parser.error(f"--{option}: there is no {wrong[0]!r}; choose from {', '.join(names)}")
        setattr(args, option, list(names) if given is None else given)
    args.tasks = args.tasks or list(known.TASKS)
    return args


def main() -> None:
    args = parsed()
    folders = {name: Path(path) for name, path in paired(args.folder).items()}
    torch.set_num_threads(args.threads)
    known = MODALITIES[args.modality]
    if args.go_on_from is not None:
        take_up(args.out, args.go_on_from)
    found = Comparison(
        known.bench(args.n, args.n_attacked, args.out / "models", args.attacks, args.device), args.out,
        {name: known.METHODS[name] for name in args.methods}, development=known.DEVELOPMENT, trials=args.trials,
        n_tuned=args.n_tuned, untuned=args.untuned, folders=folders, progress=True,
    )  # fmt: skip
    found.run(args.tasks, args.seeds)
    print(f"{len(found.rows)} rows; see {args.out / 'results.json'}")


if __name__ == "__main__":
    with one_line():
        main()
