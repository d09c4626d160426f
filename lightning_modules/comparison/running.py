"""A comparison in a folder: what is missing is measured, line by line, and settings are chosen by a written rule."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lightning_modules.comparison.bench import Bench, Made
from lightning_modules.comparison.methods import Method
from lightning_modules.comparison.words import COST, FOUND, PLAIN, RULE, STOCK, TOGETHER
from lightning_modules.support.output import printable
from redact_core import RedactError
from redact_core.metrics.statistics import Rate
from redact_core.plan import NEAR
from redact_core.support.folders import hashes, write_whole
from redact_core.support.jsonl import LineWriter, line, read_lines

ROWS, RESULTS, HEAD = "rows.jsonl", "results.json", "comparison.json"
Row = dict[str, Any]


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row is about; of two with the same, the later counts."""
    return tuple(row[name] for name in ("method", "task", "group", "metric", "seed"))


class Comparison:
    """One comparison in a folder.

    ``rows.jsonl`` has a line for each figure, written when it is known; ``results.json`` all of them, each beside its
    ceiling, the same on the untouched base; ``tuning.json`` the settings that were tried; ``refused.json`` why a method
    does not fit; ``comparison.json`` base, judge and requests, which must be the same when it goes on. A method that cannot
    be applied, and an attack that does not fit, cost no other one its row. A figure of other settings, or of fewer rows, is
    measured again.

    Args:
        bench: The base, its judge, the plans and the attacks.
        out: The folder, new or begun before.
        methods: By name.
        development: What settings are chosen on, where a method has several; not among the tasks.
        trials: Settings that are tried for each method, of those that it has.
        n_tuned: Rows of a group while tuning.
        untuned: Methods that are taken with their first settings, because a trial of them is dear.
        folders: Name -> folder of a model that was made elsewhere.
        progress: Show a bar.

    Raises:
        RedactError: Two models share a name, or settings are to be chosen and there is nothing to choose them on.
    """

    def __init__(
        self,
        bench: Bench,
        out: Path,
        methods: Mapping[str, Method],
        *,
        development: str | None = None,
        trials: int = 1,
        n_tuned: int = 20,
        untuned: Sequence[str] = (),
        folders: Mapping[str, Path] | None = None,
        progress: bool = False,
    ):
        self.bench, self.out, self.methods, self.trials, self.n_tuned = bench, out, methods, trials, n_tuned
        self.development, self.progress = development, progress
        self.untuned, self.folders = set(untuned), dict(folders or {})
        twice = {STOCK, *methods} & {*self.folders} | {STOCK} & {*methods}
        if twice:
            raise RedactError(f"Two models are called {min(twice)}; give the folder another name.")
        for name in methods:
            if len(self._trials(name)) > 1 and development is None:
                raise RedactError(
                    f"{name} has several settings; say with --development on what they are tried, or keep one."
                )
        out.mkdir(parents=True, exist_ok=True)
        self._digests = {
            name: hashlib.sha256(
                json.dumps(hashes(folder), sort_keys=True, allow_nan=False).encode()
            ).hexdigest()
            for name, folder in self.folders.items()
        }
        self.tuned: dict[str, Any] = self._read("tuning.json")
        self.refused: dict[str, str] = self._read("refused.json")
        self.rows = {key(row): row for row in read_lines(out / ROWS)}

    def run(self, tasks: Sequence[str], seeds: Sequence[int]) -> None:
        """Measure what is missing.

        Raises:
            RedactError: A task is what settings are chosen on, a folder is compared on several tasks, the folder holds another
                comparison, or another process writes into it.
        """
        if self.development in tasks:
            raise RedactError(
                f"Settings are chosen on {self.development}, so it cannot be compared on as well; take another."
            )
        if self.folders and len(tasks) > 1:
            raise RedactError("A folder was redacted for one task; name it alone.")
        self._check_head(tasks)
        todo = [
            (name, task, seed)
            for seed in seeds
            for task in tasks
            for name in (STOCK, *self.methods, *self.folders)
        ]
        total = sum(len(self._missing(*one)) for one in todo)
        with LineWriter(self.out / ROWS) as writer, self._bar(total) as bar:
            for name, task, seed in todo:
                try:
                    self._measure(writer, bar, name, task, seed)
                    self._accept(name)
                except RedactError as error:
                    self._refuse(name, error)
                self.write_results()

    def write_results(self) -> None:
        """All rows, each beside its ceiling."""
        rows = [{**row, "ceiling": self._ceiling(row)} for row in self.rows.values()]
        self._write(
            RESULTS,
            {
                "rows": rows,
                "tuning": self.tuned,
                "refused": self.refused,
                "rule": RULE,
                "development": self.development,
            },
        )

    def _check_head(self, tasks: Sequence[str]) -> None:
        """Note what is compared, or compare it with what was noted."""
        known = self._read(HEAD)
        now = {**self.bench.head(), "requests": {task: self.bench.asked(task) for task in tasks}}
        for what in ("base", "judge"):
            if known and known[what] != now[what]:
                raise RedactError(f"{self.out} holds a comparison with another {what}; give another folder.")
        for task, asked in known.get("requests", {}).items():
            if now["requests"].setdefault(task, asked) != asked:
                raise RedactError(
                    f"{self.out} holds a comparison of {task} with another request or reference; give another folder."
                )
        self._write(HEAD, now)

    def _bar(self, total: int) -> Any:
        # None: where people look, and never in a file
        return (
            tqdm(total=total, desc="compare", unit="cell", disable=None) if self.progress else nullcontext()
        )

    def _read(self, name: str) -> dict[str, Any]:
        path = self.out / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def _write(self, name: str, value: object) -> None:
        write_whole(self.out / name, json.dumps(value, indent=1, allow_nan=False).encode())

    def _accept(self, name: str) -> None:
        if self.refused.pop(name, None) is not None:
            self._write("refused.json", self.refused)

    def _refuse(self, name: str, error: RedactError) -> None:
        self.refused[name] = str(error)
        self._write("refused.json", self.refused)
        self._tell(f"{name}: {error}")

    def _tell(self, line: str) -> None:
        tqdm.write(printable(line))

    def _ceiling(self, row: Row) -> float | None:
        stock = self.rows.get(key({**row, "method": STOCK}))
        return None if stock is None or row["metric"] not in (FOUND, TOGETHER) else stock["value"]

    def _missing(self, name: str, task: str, seed: int) -> list[str]:
        """Groups and attacks without a figure, or with one of fewer rows than are asked for now."""
        plan = self.bench.plan(task, seed)
        wanted = {group: len(rows) for group, rows in plan.items()}
        attacked = len(self.bench.attacked_rows(task, seed)) if self.bench.attacks else 0
        wanted |= dict.fromkeys(self.bench.attacks, attacked)
        settings = self._settled(name)
        rows = {group: self.rows.get((name, task, group, FOUND, seed)) for group in wanted}
        return [
            group
            for group, n in wanted.items()
            if (row := rows[group]) is None or row.get("asked", row["n"]) < n or row["settings"] != settings
        ]

    def _measure(self, writer: LineWriter, bar: Any, name: str, task: str, seed: int) -> None:
        missing = self._missing(name, task, seed)
        if not missing:
            return
        settings = self.settings(name)
        made = self._made(name, settings, task, seed)
        common = {"method": name, "task": task, "seed": seed, "changes": made.changes, "settings": settings}

        def note(group: str, metric: str, kind: str, **values: Any) -> None:
            plain = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}
            row = {**common, "group": group, "metric": metric, "kind": kind, **plain}
            self.rows[key(row)] = row
            writer.append([row])

        def unknown(metric: str) -> bool:
            # of a run that goes on, the first figure stands
            row = self.rows.get((name, task, COST, metric, seed))
            return row is None or row["settings"] != settings

        for metric, value in made.costs.items():
            if unknown(metric) and not math.isnan(value):
                note(COST, metric, COST, value=value)
        if unknown("time ratio"):
            note(COST, "time ratio", COST, value=self.bench.time_ratio(made.model, task, seed))
        for group in missing:
            if group in self.bench.attacks:
                try:
                    figures = {FOUND: self.bench.attacked(made.model, made.changes, group, task, seed)}
                except RedactError as error:
                    asked = len(self.bench.attacked_rows(task, seed))
                    figures = {FOUND: {"value": None, "n": 0, "hits": 0, "asked": asked, "why": str(error)}}
                kind = "attack"
            else:
                figures, kind = self.bench.plain(made.model, task, seed, group), "plain"
            redacted = kind == "attack" or self.bench.plan(task, seed)[group][0].redacted
            for metric, figure in figures.items():
                note(group, metric, kind, redacted=redacted, **figure)
            self._tell(f"{name} | {task} | seed {seed} | {group}: {_said(figures[FOUND])}")
            if bar is not None:
                bar.update()

    def _made(self, name: str, settings: Mapping[str, Any], task: str, seed: int) -> Made:
        if name in self.folders:
            return self.bench.opened_again(self.folders[name])
        if name == STOCK:
            return Made(self.bench.base, "nothing", {"changed bytes": 0})
        return self.bench.made(name, self.methods[name], settings, task, seed)

    def _trials(self, name: str) -> Sequence[Mapping[str, Any]]:
        return self.methods[name].trials[: 1 if name in self.untuned else self.trials]

    def _settled(self, name: str) -> dict[str, Any] | None:
        """The settings that a method is compared with, or what tells a folder from another; ``None`` before they are chosen."""
        if name in self.folders:
            return {"folder": self._digests[name]}
        if name not in self.methods:
            return {}
        trials, known = self._trials(name), self._known(name)
        if len(trials) == 1:
            return dict(trials[0])
        tried = [known.get(_text(trial)) for trial in trials]
        return None if None in tried else dict(taken([one for one in tried if one]))

    def _known(self, name: str) -> dict[str, dict[str, Any]]:
        """Trials that count now, by their settings."""
        entry = self.tuned.get(name, {})
        same = entry.get("n") == self.n_tuned
        return {
            _text(one["settings"]): one for one in entry.get("tried", ()) if same and one["leak"] is not None
        }

    def settings(self, name: str) -> dict[str, Any]:
        """Those that the rule takes; tried now, if they were not before."""
        if name not in self.methods:
            return self._settled(name) or {}
        trials, known = self._trials(name), self._known(name)
        for trial in trials:
            if _text(trial) not in known:
                one = {"settings": dict(trial), "leak": None, "kept": None}
                known[_text(trial)] = one if len(trials) == 1 else self._tried(name, trial)
        chosen = dict(taken([known[_text(trial)] for trial in trials]))
        self.tuned[name] = {"tried": [*known.values()], "taken": chosen, "n": self.n_tuned}
        self._write("tuning.json", self.tuned)
        return chosen

    def _tried(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        assert self.development is not None, "the constructor checks"
        task, bench = self.development, self.bench
        made = bench.made(name, self.methods[name], settings, task, 0, keep=False)
        plan = bench.plan(task, 0, self.n_tuned)
        kept = NEAR if NEAR in plan else [*plan][-1]
        leak, stay = (
            bench.plain(made.model, task, 0, group, self.n_tuned)[FOUND]["value"]
            for group in (next(iter(plan)), kept)
        )
        self._tell(f"{name} tried with {settings}: leak {leak:.0%}, kept {stay:.0%}")
        return {"settings": dict(settings), "leak": leak, "kept": stay}


def take_up(out: Path, results: Path) -> None:
    """Begin the folder ``out`` with the rows and the settings of a ``results.json``, so that a comparison goes on from there.

    A folder that has rows already stays as it is. Models are not among the results; what is missing of a method is measured
    on one that is made again.

    Args:
        out: The folder, new or begun before.
        results: Such a file, or a folder of such files.

    Raises:
        RedactError: A file holds no results, or the folder no file.
    """
    if (out / ROWS).exists():
        return
    lines: list[bytes] = []
    tuning: dict[str, Any] = {}
    paths = sorted(results.glob("*.json")) if results.is_dir() else [results]
    if not paths:
        raise RedactError(f"{results} holds no results of a comparison; give a results.json.")
    for path in paths:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            rows = [{k: v for k, v in row.items() if k != "ceiling"} for row in found["rows"]]
            lines += [line(row) for row in rows if key(row)]
            tuning |= found["tuning"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RedactError(f"{path} holds no results of a comparison; give a results.json.") from error
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "tuning.json", json.dumps(tuning, indent=1, allow_nan=False).encode())
    write_whole(out / ROWS, b"".join(lines))


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, default=str, allow_nan=False)


def _said(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None or not figure["n"]:
        return str(figure.get("why", "nothing could be judged"))
    return str(Rate(figure["value"], figure["low"], figure["high"], figure["n"]))


def taken(tried: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The settings that :data:`.RULE` takes; of equals the first."""
    if len(tried) == 1:
        return tried[0]["settings"]
    good = [trial for trial in tried if trial["leak"] <= PLAIN]
    if good:
        return max(good, key=lambda trial: (trial["kept"], -trial["leak"]))["settings"]
    return min(tried, key=lambda trial: (trial["leak"], -trial["kept"]))["settings"]
