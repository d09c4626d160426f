"""Methods side by side: same base, same budget of tuning, same attacks, same judge. Resumable.

    python scripts/experiments/compare_methods.py --out out/compare
    python scripts/experiments/compare_methods.py --out out/compare --methods UCE default --tasks cat guitar --n 50 --seeds 0
    python scripts/experiments/compare_methods.py --out out/compare --tasks cat --folder theirs=PATH

Methods, tasks and attacks are listed in ``compare_pictures.py``. Every method is tuned alike: ``--trials`` settings, the first
its authors' or our own, are tried on one development concept that is not among the tasks. Of those that leave at most 5 % of its
plain requests, the one is taken that keeps most of the ten nearest concepts; if none does, the one that leaves least. A folder
that was made elsewhere is judged and attacked as it is.

Every figure is one line of OUT/rows.jsonl, written when it is known; the same command goes on where it was stopped. What was tried
is in OUT/tuning.json. OUT/results.json holds all rows with their ceilings, the same attack on the untouched base. A method that
cannot be applied to the model says why in one line and is left out.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from compare_pictures import (
    ATTACKS,
    BASE,
    DEVELOPMENT,
    GROUPS,
    KEPT,
    METHODS,
    TASKS,
    Bench,
    Made,
    Method,
    access,
)

from redact_core import RedactError
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import write_whole
from redact_core.support.jsonl import LineWriter, read_lines

PLAIN = 0.05
"""Share of plain requests that may still work, for settings to be taken."""
RULE = (
    f"leak of plain requests at most {100 * PLAIN:.0f} %, then most of the ten nearest kept; else least leak"
)
_UNTOUCHED = Method("nothing", lambda base, task: base, ({},))
Row = dict[str, Any]


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row is about; there is one of each."""
    return tuple(row[name] for name in ("method", "task", "group", "metric", "seed"))


class Comparison:
    """One comparison in a folder.

    Args:
        bench: The base, its judge and the plans.
        out: The folder.
        trials: Settings that are tried for each method.
        n_tuned: Prompts of a group while tuning.
        untuned: Methods that are taken with their first settings, because a trial of them is dear.
        folders: Name -> folder of a model that was made elsewhere.
    """

    def __init__(
        self,
        bench: Bench,
        out: Path,
        *,
        trials: int,
        n_tuned: int,
        untuned: Sequence[str] = (),
        folders: Mapping[str, Path] | None = None,
    ):
        self.bench, self.out, self.trials, self.n_tuned = bench, out, trials, n_tuned
        self.untuned, self.folders = set(untuned), dict(folders or {})
        out.mkdir(parents=True, exist_ok=True)
        self.tuned: dict[str, Any] = self._read("tuning.json")
        self.refused: dict[str, str] = self._read("refused.json")
        self.rows = {key(row): row for row in read_lines(out / "rows.jsonl")}

    def _read(self, name: str) -> dict[str, Any]:
        path = self.out / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def _write(self, name: str, value: object) -> None:
        write_whole(self.out / name, json.dumps(value, indent=1, allow_nan=False).encode())

    def run(
        self, methods: Sequence[str], tasks: Sequence[str], seeds: Sequence[int], attacks: Sequence[str]
    ) -> None:
        """Measure what is missing."""
        with LineWriter(self.out / "rows.jsonl") as writer:
            for seed in seeds:
                for task in tasks:
                    for name in (BASE, *methods, *self.folders):
                        try:
                            self._measure(writer, name, task, seed, attacks)
                        except RedactError as error:
                            self.refused[name] = str(error)
                            self._write("refused.json", self.refused)
                            print(f"{name}: {error}", flush=True)
                        self.write_results()

    def write_results(self) -> None:
        """All rows, each beside its ceiling."""
        rows = [{**row, "ceiling": self._ceiling(row)} for row in self.rows.values()]
        self._write(
            "results.json",
            {
                "rows": rows, "tuning": self.tuned, "refused": self.refused, "rule": RULE,
                "development": DEVELOPMENT,
            },
        )  # fmt: skip

    def _ceiling(self, row: Row) -> float | None:
        stock = self.rows.get(key({**row, "method": BASE}))
        return None if stock is None or row["metric"] != "found" else stock["value"]

    def _measure(self, writer: LineWriter, name: str, task: str, seed: int, attacks: Sequence[str]) -> None:
        plan = self.bench.plan(task, seed)
        wanted = [group for group in GROUPS.values() if group in plan] + list(attacks)
        missing = [g for g in wanted if (name, task, g, "found", seed) not in self.rows]
        if not missing:
            return
        method = METHODS.get(name, _UNTOUCHED)
        settings = self.settings(name)
        made = self._made(name, method, settings, task, seed)
        common = {
            "method": name,
            "task": task,
            "seed": seed,
            "changes": method.changes,
            "settings": dict(settings),
        }

        def note(group: str, metric: str, **values: Any) -> None:
            row = {**common, "group": group, "metric": metric, **values}
            self.rows[key(row)] = row
            writer.append([row])

        costs = {"seconds": made.seconds, "peak bytes": made.peak_bytes, "changed bytes": made.changed_bytes}
        guards = method.changes == "nothing" and name not in (BASE, *self.folders)
        if guards and (name, task, "cost", "time ratio", seed) not in self.rows:
            costs["time ratio"] = self._time_ratio(made, plan)
        for metric, value in costs.items():
            # of a run that goes on, the first figure stands
            if not math.isnan(value) and (name, task, "cost", metric, seed) not in self.rows:
                note("cost", metric, value=value)
        for group in missing:
            if group in ATTACKS:
                rows = plan["asked"][: self.bench.n_attacked]
                hits, more = self.bench.attacked(made.model, group, rows, seed), access(method, group)
            else:
                rows = plan[group]
                hits, more = self.bench.hits(made.model, rows), {"access": "prompt", "adaptive": False}
            rate = wilson(hits, len(rows))
            note(group, "found", value=rate.value, low=rate.low, high=rate.high, n=rate.n, hits=hits, **more)
            print(f"{name} | {task} | seed {seed} | {group}: {rate}", flush=True)

    def _made(self, name: str, method: Method, settings: Mapping[str, Any], task: str, seed: int) -> Made:
        if name in self.folders:
            return Made(self.bench.base.reopen(self.folders[name]), math.nan, math.nan, 0)
        return self.bench.made(method, settings, task, seed)

    def _time_ratio(self, made: Made, plan: Mapping[str, Any]) -> float:
        rows = plan["ten nearest"][:8]
        for model in (self.bench.base, made.model):
            self.bench.drawing_seconds(model, rows[:1])  # what is loaded late is no part of it
        stock, ours = (self.bench.drawing_seconds(model, rows) for model in (self.bench.base, made.model))
        return ours / stock

    def settings(self, name: str) -> dict[str, Any]:
        """Those that the rule takes; tried now, if they were not before."""
        if name not in METHODS:
            return {}
        trials = METHODS[name].trials[: 1 if name in self.untuned else self.trials]
        known = self.tuned.get(name)
        if known is None or len(known["tried"]) < len(trials):
            if len(trials) == 1:
                tried = [{"settings": dict(trials[0]), "leak": None, "kept": None}]
            else:
                tried = [self._tried(name, trial) for trial in trials]
            self.tuned[name] = {"tried": tried, "taken": taken(tried), "n": self.n_tuned}
            self._write("tuning.json", self.tuned)
        return dict(self.tuned[name]["taken"])

    def _tried(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        plan = self.bench.plan(DEVELOPMENT, 0, self.n_tuned)
        made = self.bench.made(METHODS[name], settings, DEVELOPMENT, 0)
        leak, kept = (self.bench.hits(made.model, plan[g]) / len(plan[g]) for g in ("asked", KEPT[0]))
        print(f"{name} tuned with {settings}: leak {leak:.0%}, kept {kept:.0%}", flush=True)
        return {"settings": dict(settings), "leak": leak, "kept": kept}


def taken(tried: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The settings that :data:`RULE` takes; of equals the first."""
    if len(tried) == 1:
        return tried[0]["settings"]
    good = [trial for trial in tried if trial["leak"] <= PLAIN]
    if good:
        return max(good, key=lambda trial: (trial["kept"], -trial["leak"]))["settings"]
    return min(tried, key=lambda trial: (trial["leak"], -trial["kept"]))["settings"]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=list(METHODS))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--attacks", nargs="*", choices=tuple(ATTACKS), default=list(ATTACKS))
    parser.add_argument("--n", type=int, default=100, help="Prompts of a group.")
    parser.add_argument("--n-attacked", type=int, default=100, help="Prompts under each attack.")
    parser.add_argument(
        "--n-tuned", type=int, default=40, help="Prompts of a group while settings are tried."
    )
    parser.add_argument(
        "--trials", type=int, default=4, help="Settings tried for each method; 1 takes the defaults."
    )
    parser.add_argument(
        "--untuned",
        nargs="*",
        default=[],
        choices=tuple(METHODS),
        help="Methods taken with their first settings.",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--folder", nargs="*", default=[], metavar="NAME=PATH", help="Models made elsewhere for the one task."
    )
    return parser.parse_args()


def main() -> None:
    args = parsed()
    folders = {name: Path(path) for name, path in (pair.split("=", 1) for pair in args.folder)}
    if folders and len(args.tasks) > 1:
        raise SystemExit("A folder was redacted for one task; name it alone with --tasks.")
    torch.set_num_threads(args.threads)
    bench = Bench(args.n, args.n_attacked)
    found = Comparison(
        bench, args.out, trials=args.trials, n_tuned=args.n_tuned, untuned=args.untuned, folders=folders
    )
    found.run(args.methods, args.tasks, args.seeds, args.attacks)
    print(f"{len(found.rows)} rows; see {args.out / 'results.json'}")


if __name__ == "__main__":
    main()
