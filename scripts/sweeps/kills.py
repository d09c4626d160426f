"""SIGKILL at random moments, then the same command again: is the result bit by bit that of one run?

    python scripts/sweeps/kills.py --out out/sweeps [--kills 50] [--seed 0]

For each of fit (with its export), evaluate, attack and report: a run that nobody disturbs, then ``--kills``
runs that are killed at moments drawn over its length, each followed by the same command until it ends.
After every kill the target must be absent or whole. Prints a table, writes OUT/kills.json.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from forked import result, run, tree, warm_up
from tqdm import tqdm

SLOW = "fit and export, diffusers"
"""Gets a fifth of the kills or faults: it costs ten times as much, and only its export differs."""


@dataclass
class Tally:
    """What a verb's kills led to."""

    verb: str
    kills: int = 0
    ended_before: int = 0
    half_written: int = 0
    different: int = 0
    failed: int = 0
    left_behind: int = 0
    unclear: int = 0
    """Ended without one clear line."""
    examples: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not (self.half_written or self.different or self.failed or self.left_behind or self.unclear)

    def note(self, text: str) -> None:
        self.examples = (*self.examples, text)[:8]


@dataclass(frozen=True)
class Verb:
    """A command of the sweep."""

    name: str
    arguments: Callable[[Path], list[str]]
    """What to run, given the folder it writes to."""
    sound: Callable[[Path], bool]
    """Whether what lies there after a kill is absent or whole."""
    go_on: Callable[[Path], list[str] | None]
    """More arguments of the command that goes on; ``None`` where the work is done."""


def sweep(verb: Verb, kills: int, rng: random.Random, home: Path) -> Tally:
    """Kill ``kills`` runs at moments that ``rng`` draws; ``home`` is an empty folder's path."""
    tally = Tally(verb.name)
    reference = home / "reference" / "out"
    reference.parent.mkdir(parents=True)
    done = run(verb.arguments(reference), home / "log")
    if done.status:
        raise SystemExit(f"{verb.name} fails without being killed:\n{done.errors}")
    wanted, beside = result(reference), tree(reference.parent)
    places = range(kills if verb.name != SLOW else (kills + 4) // 5)
    for number in tqdm(places, desc=verb.name, unit="kill"):
        place = home / f"{number}"
        place.mkdir()
        out = place / "out"
        cut = run(verb.arguments(out), home / "log", kill_after=rng.uniform(0.0, done.seconds))
        tally.kills += 1
        tally.ended_before += cut.status == 0
        if not verb.sound(out):
            tally.half_written += 1
            tally.note(f"{number}: half written: {sorted(tree(out))}")
        more = verb.go_on(out)
        last = run([*verb.arguments(out), *more], home / "log") if more is not None else None
        if last is not None and last.status:
            tally.failed += 1
            tally.note(f"{number}: {last.errors[-300:]}")
        elif result(out) != wanted:
            tally.different += 1
            tally.note(f"{number}: differs in {sorted(set(result(out).items()) ^ set(wanted.items()))[:4]}")
        elif stray := tree(place) - beside:
            tally.left_behind += 1
            tally.note(f"{number}: left behind {sorted(stray)[:4]}")
        shutil.rmtree(place)
    return tally


def verbs(root: Path) -> list[Verb]:
    """The commands of the sweep, on tiny models in ``root``."""
    from tiny import tiny_stable_diffusion
    from toy_evaluation import PictureToy, without_plums

    from redact_core import RedactionCard

    base = tiny_stable_diffusion(root / "base")
    redacted = without_plums(PictureToy(), root)
    trainer = [
        "--trainer.accelerator",
        "cpu",
        "--trainer.devices",
        "1",
        "--trainer.enable_progress_bar",
        "false",
    ]

    def fit(out: Path) -> list[str]:
        return [
            "fit", "--model.adapter", "StableDiffusion", "--model.adapter.source", str(base), "--data.redact", "cat",
            "--data.reference", "dog", "--export.folder", str(out), "--trainer.max_steps", "12",
            "--checkpoint.every_n_train_steps", "5", *trainer,
        ]  # fmt: skip

    def fit_toy(out: Path) -> list[str]:
        return [
            "fit", "--model.adapter", "toy_evaluation.PictureToy", "--data.redact", "plum", "--data.reference", "fig",
            "--export.folder", str(out), "--trainer.max_steps", "40", "--checkpoint.every_n_train_steps", "7", *trainer,
        ]  # fmt: skip

    def go_on(out: Path) -> list[str] | None:
        if out.exists():
            return None
        return ["--ckpt_path", "last"] if list(out.parent.glob("out.run/checkpoints/last*.ckpt")) else []

    def fitted(out: Path) -> bool:
        return not out.exists() or RedactionCard.read(out).verify(out) == []

    def toy(verb: str, model: str, out: Path, *more: str) -> list[str]:
        return [
            verb, "--base", model, "--redacted", str(redacted), "--out", str(out), "--redact", "plum", "--n", "12",
            "--batch_size", "4", *more,
        ]  # fmt: skip

    def evaluate(out: Path) -> list[str]:
        more = ["--base.delay", "0.02", "--reference", "fig", *trainer]
        return toy("evaluate", "toy_evaluation.PictureToy", out, *more)

    def attack(out: Path) -> list[str]:
        attacks = "[toy_attacks.Spelling, toy_attacks.Bypass, SeedSearch]"
        more = ["--attacks", attacks, "--scorers", "[toy_evaluation.WordScorer]", "--device", "cpu"]
        return toy("attack", "toy_attacks.OpenToy", out, *more)

    def scored(out: Path) -> bool:
        return not (out / "summary.json").exists() or bool(json.loads((out / "summary.json").read_text()))

    evidence = root / "evidence"
    made = run(evaluate(evidence), root / "log")
    if made.status:
        raise SystemExit(made.errors)

    def report(out: Path) -> list[str]:
        return ["report", str(evidence), "--out", str(out / "report.html")]

    def reported(out: Path) -> bool:
        page = out / "report.html"
        return not page.exists() or page.read_text(encoding="utf-8").rstrip().endswith("</html>")

    return [
        Verb("fit and export", fit_toy, fitted, go_on),
        Verb("fit and export, diffusers", fit, fitted, go_on),
        Verb("evaluate", evaluate, scored, lambda out: []),
        Verb("attack", attack, scored, lambda out: []),
        Verb("report", report, reported, lambda out: None if (out / "report.json").exists() else []),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", nargs="*", help="Default: all.")
    options = parser.parse_args()
    warm_up()
    rng = random.Random(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    tallies: list[Tally] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, verb in enumerate(verbs(Path(folder))):
            if options.verbs and verb.name not in options.verbs:
                continue
            tallies.append(sweep(verb, options.kills, rng, Path(folder) / f"sweep{number}"))
            # after each verb: what was found so far outlives a sweep that is stopped
            (options.out / "kills.json").write_text(
                json.dumps([asdict(t) for t in tallies], indent=1, allow_nan=False) + "\n"
            )
    print(
        "| verb | kills | ended before | half written | another result | failed to go on | files left behind |"
    )
    print("|---|---|---|---|---|---|---|")
    for t in tallies:
        print(
            f"| {t.verb} | {t.kills} | {t.ended_before} | {t.half_written} | {t.different} | {t.failed} | {t.left_behind} |"
        )
        for example in t.examples:
            print("  ", example)
    raise SystemExit(0 if all(t.good for t in tallies) else 1)


if __name__ == "__main__":
    main()
