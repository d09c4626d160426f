"""SIGKILL at random moments, then the same command again: is the result bit by bit that of one run?

    python scripts/sweeps/kills.py --out out/sweeps [--kills 50] [--seed 0]

For each of fit (with its export), evaluate, attack and report: a run that nobody disturbs, then ``--kills``
runs that are killed at moments drawn over its length, each followed by the same command until it ends.
After every kill the target must be absent or whole. Prints a table, writes OUT/kills.json after every run;
a sweep that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from pathlib import Path

from aftermath import Undisturbed, aftermath
from forked import result, run, tree, warm_up
from tally import Record, Tally
from tqdm import tqdm
from verbs import SLOW, Verb, verbs

LONGEST_WAIT = 0.02
"""Seconds that a kill may come later than its moment in processor time: a run also waits for the disk."""


def sweep(verb: Verb, kills: int, seed: int, home: Path, record: Record) -> Tally:
    """Kill runs at moments that ``seed`` draws, until there are ``kills`` of them; ``home``: no folder yet."""
    tally = record.of(verb.name)
    kills = kills if verb.name != SLOW else (kills + 4) // 5
    if tally.runs >= kills:
        return tally
    reference = home / "reference" / "out"
    reference.parent.mkdir(parents=True)
    done = run(verb.arguments(reference), home / "log")
    if done.status:
        raise SystemExit(f"{verb.name} fails without being killed:\n{done.errors}")
    undisturbed = Undisturbed(result(reference), tree(reference.parent))
    for number in tqdm(range(tally.runs, kills), desc=verb.name, unit="kill"):
        rng = random.Random(f"{seed} {verb.name} {number}")
        place = home / f"{number}"
        place.mkdir()
        out = place / "out"
        moment, later = rng.uniform(0.0, done.seconds), rng.uniform(0.0, LONGEST_WAIT)
        cut = run(verb.arguments(out), home / "log", kill_after=moment, later=later)
        tally.runs += 1
        tally.ended_well += cut.status == 0
        aftermath(tally, str(number), verb, out, undisturbed, home / "log")
        record.write()
        shutil.rmtree(place)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", nargs="*", help="Default: all.")
    options = parser.parse_args()
    record = Record(options.out / "kills.json", kills=options.kills, seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        chosen = verbs(Path(folder))
        warm_up(*(verb.arguments for verb in chosen))
        for number, verb in enumerate(chosen):
            if not options.verbs or verb.name in options.verbs:
                sweep(verb, options.kills, options.seed, Path(folder) / f"sweep{number}", record)
    record.end()


if __name__ == "__main__":
    main()
