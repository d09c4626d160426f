"""Where methods are applied, judged and attacked: one base, one judge, one plan for each request."""

from __future__ import annotations

import hashlib
import math
import re
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_modules.comparison.methods import Method, Settings
from lightning_modules.comparison.words import FOUND, TOGETHER
from lightning_modules.evaluation.attacking import realise
from redact_core import (
    Adapter,
    Attack,
    Group,
    Lesson,
    Objective,
    PlanRow,
    RedactError,
    Request,
    Scorer,
    SetScorer,
    Trial,
    redact,
)
from redact_core.adapters.capabilities import HasTrainingLoss, PlansEvaluations, Reopens, require
from redact_core.adapters.fingerprint import fingerprint
from redact_core.evaluation.set_scoring import halves
from redact_core.metrics.judge import check_names
from redact_core.metrics.scorer import checked_scores, leak_metric
from redact_core.metrics.statistics import wilson

_SEES = {
    "encoder gradient": {"encoder"},
    "denoiser gradient": {"encoder", "generator"},
    "weights": {"encoder", "generator"},
    "prompt": {"encoder", "generator", "guard"},
    "sample": {"encoder", "generator", "guard"},
}
"""Access of an attack -> changes that it passes through while it searches."""
_TIMED = 8
Figure = dict[str, Any]
"""Of one metric: ``value`` and what belongs to it."""


@dataclass(frozen=True)
class Made:
    """A model that a method has been applied to."""

    model: Adapter
    changes: str
    """``encoder``, ``generator``, both with ``and`` between them, ``guard``, or ``nothing``."""
    costs: Mapping[str, float]
    """Metric -> value, where known: ``seconds`` of the processor, ``peak bytes``, ``changed bytes``."""


class Bench:
    """One base with its judge.

    Args:
        opened: Opens a base of its own, which may be changed; its arguments are those of :attr:`.Method.base`.
        scorer: Judges single samples; it has a rate that shall be low where something was redacted.
        request: What a task and a seed ask to redact.
        attacks: Name -> what makes the attack.
        n: Rows of a group.
        n_attacked: Rows of the first redacted group under each attack.
        models: Where redacted models are kept with their cards, so that a run that goes on opens them; without it, or where a
            model does not open its folders, they are made again.
        groups: Of the plan; default: all.
        set_scorer: Judges whole groups of retained samples.
        progress: Whether trainings show the model's own progress bar.

    Raises:
        RedactError: The scorer has no such rate, a number is below 1, or the set scorer has a metric of the comparison's.
    """

    def __init__(
        self,
        opened: Callable[..., Adapter],
        scorer: Scorer,
        request: Callable[[str, int], Request],
        attacks: Mapping[str, Callable[[], Attack]],
        *,
        n: int,
        n_attacked: int,
        models: Path | None = None,
        groups: Sequence[str] | None = None,
        set_scorer: SetScorer | None = None,
        progress: bool = False,
    ):
        if min(n, n_attacked) < 1:
            raise RedactError(f"n is {n} and n_attacked {n_attacked}; give at least 1 of each.")
        leak = leak_metric(scorer.metrics)
        if leak is None:
            raise RedactError(f"{scorer.name} has no rate that shall be low; give a scorer that has one.")
        if set_scorer is not None:
            check_names([set_scorer], "set scorers", dict.fromkeys((FOUND, TOGETHER), "the comparison"))
        self.opened, self.scorer, self.request, self.attacks = opened, scorer, request, attacks
        self.n, self.n_attacked, self.models, self.groups = n, n_attacked, models, groups
        self.set_scorer, self.progress, self.leak = set_scorer, progress, leak
        together = [
            name for name, m in scorer.metrics.items() if m.kind == "rate" and m.retained == "as base"
        ]
        self.together = together if len(together) > 1 else []
        """Rates of a retained row that count as one: all that it asks for."""
        self.base = opened()
        self._plans: dict[tuple[str, int, int], dict[str, list[PlanRow]]] = {}
        self._lessons: dict[object, list[Lesson]] = {}
        self._embedded: dict[tuple[str, int, str], Tensor] = {}

    def head(self) -> dict[str, Any]:
        """What every figure depends on: the base without its batch size, of which no sample depends, and the judge."""
        base = fingerprint(self.base)
        base["settings"].pop("batch_size", None)
        return {"base": base, "judge": self.scorer.name}

    def asked(self, task: str) -> dict[str, list[str]]:
        """The request of a task."""
        request = self.request(task, 0)
        return {"redact": list(request.redact), "references": list(request.references)}

    def plan(self, task: str, seed: int, n: int | None = None) -> dict[str, list[PlanRow]]:
        """Rows by group, redacted groups first. Retained rows that ask for the reference are left out."""
        n = self.n if n is None else n
        if (task, seed, n) not in self._plans:
            planned = require(self.base, PlansEvaluations, "A comparison")
            rows = planned.plan(self.request(task, seed), n)
            references = {row.labels["reference"] for row in rows if "reference" in row.labels}
            found: dict[str, list[PlanRow]] = {}
            for row in sorted(rows, key=lambda row: not row.redacted):
                wanted = row.redacted or references.isdisjoint(row.labels.values())
                if wanted and (self.groups is None or row.group in self.groups):
                    found.setdefault(row.group, []).append(row)
            self._plans[task, seed, n] = found
        return self._plans[task, seed, n]

    def lessons(self, base: Adapter, settings: Settings, task: str, seed: int) -> list[Lesson]:
        """The same rows for every method, with the model's own choice of reference."""
        key = task, seed, str(settings)
        if key not in self._lessons:
            self._lessons[key] = base.expand(self.request(task, seed))
        return self._lessons[key]

    def made(
        self, name: str, method: Method, settings: Settings, task: str, seed: int, *, keep: bool = True
    ) -> Made:
        """The base with the method applied, and what that cost; from its folder, if there is one.

        Args:
            name: Of the method, and in the name of the folder.
            method: What is applied.
            settings: One of its trials.
            task: Of the request.
            seed: Of the request and of the training.
            keep: Write the folder.
        """
        model = self.opened(**method.base)
        if method.guard:
            began = time.process_time()
            guard: Any = method.make(model, task, **settings)
            guard.to(self.base.device)  # with networks of its own
            return Made(guard, "guard", {"seconds": time.process_time() - began, "changed bytes": 0})
        # of other settings another model
        own = (
            f" {hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:8]}" if settings else ""
        )
        folder = self._folder(f"{task} {seed} {name}{own}") if keep else None
        if folder is not None and folder.is_dir():
            return self.opened_again(folder)
        made: Any = method.make(**settings)
        objectives: list[Objective] = [made] if isinstance(made, Objective) else list(made)
        for objective in objectives:
            objective.check(model)
        # what is loaded late is no part of a method
        model.generate_rows(next(iter(self.plan(task, seed).values()))[:1])
        began = time.process_time()
        lessons = self.lessons(model, method.base, task, seed)
        began = began if method.base else time.process_time()
        peaks: list[float] = []
        for objective in objectives:
            result = redact(
                model, lessons, objective=objective, steps=method.steps, batch_size=method.batch_size, seed=seed,
                progress=self.progress,
            )  # fmt: skip
            peaks.append(result.work.cost.get("peak_bytes", math.nan))
        costs = {"seconds": time.process_time() - began, "peak bytes": max(peaks)}
        if folder is not None:
            model.save_pretrained(folder)
        changes, size = self.changed(model)
        return Made(model, changes, {**costs, "changed bytes": size})

    def opened_again(self, folder: Path) -> Made:
        """A model from a folder, made here or elsewhere."""
        model = require(self.base, Reopens, "A comparison").reopen(folder).to(self.base.device)
        changes, size = self.changed(model)
        return Made(model, changes, {"changed bytes": size})

    def _folder(self, name: str) -> Path | None:
        if self.models is None or self.base.offers(Reopens) is None:
            return None
        return self.models / re.sub(r"[^\w.-]+", "_", name)

    def changed(self, model: Adapter) -> tuple[str, int]:
        """Which parts differ from the base's, and the bytes of the tensors that do."""
        parts = {"encoder": (model.encoder, self.base.encoder)}
        ours, stock = (one.offers(HasTrainingLoss) for one in (model, self.base))
        if ours is not None and stock is not None:
            parts["generator"] = ours.generator, stock.generator
        found: dict[str, int] = {}
        for part, (now, then) in parts.items():
            before = then.state_dict()
            size = sum(
                value.numel() * value.element_size()
                for key, value in now.state_dict().items()
                if key not in before
                or before[key].shape != value.shape
                or not torch.equal(value, before[key].to(value.device))
            )
            if size:
                found[part] = size
        return " and ".join(found) or "nothing", sum(found.values())

    def plain(
        self, model: Adapter, task: str, seed: int, group: str, n: int | None = None
    ) -> dict[str, Figure]:
        """Metric -> figure of a group: ``found``; of retained rows also ``together`` and the distance of a set scorer."""
        rows = self.plan(task, seed, n)[group]
        with torch.no_grad():
            samples = model.generate_rows(rows)
        with self._written(samples) as paths:
            scores = self._scores(rows, paths)
            found = {FOUND: self._rate([score.get(self.leak) for score in scores])}
            if rows[0].redacted:
                return found
            if self.together:
                each = [[score.get(name) for name in self.together] for score in scores]
                found[TOGETHER] = self._rate([None if None in one else float(min(one)) for one in each])  # pyright: ignore[reportArgumentType]
            if self.set_scorer is not None and n is None:
                found |= self._distance(self.set_scorer, rows, paths, task, seed)
        return found

    def attacked(self, model: Adapter, changes: str, name: str, task: str, seed: int) -> Figure:
        """What an attack finds for the first redacted rows."""
        attack = self.attacks[name]()
        attack.success = attack.success or self.scorer
        attack.check(model)
        rows = self.attacked_rows(task, seed)
        asked = attack.subvert(model, self.base, rows, seed=seed)
        found = attack(asked, self.base, rows, seed=seed)
        with torch.no_grad():
            samples = realise(asked, found, [row.seed for row in rows])
        with self._written(samples) as paths:
            rate = self._rate([score.get(self.leak) for score in self._scores(rows, paths)])
        adaptive = attack.adaptive and {*changes.split(" and ")} <= _SEES[attack.access] | {"nothing"}
        return {**rate, "access": attack.access, "adaptive": adaptive, "budget": attack.budget}

    def attacked_rows(self, task: str, seed: int) -> list[PlanRow]:
        """Those that every attack gets.

        Raises:
            RedactError: The plan has no redacted rows.
        """
        group = next(iter(self.plan(task, seed).values()), [])[: self.n_attacked]
        if not group or not group[0].redacted:
            raise RedactError(
                f"The plan for {task} holds no redacted condition, so there is nothing to attack."
            )
        return group

    def time_ratio(self, model: Adapter, task: str, seed: int) -> float:
        """Processor seconds of a few samples, beside the base's."""
        rows = list(self.plan(task, seed).values())[-1][:_TIMED]
        spent: list[float] = []
        for one in (self.base, model):
            with torch.no_grad():
                one.generate_rows(rows[:1])  # what is loaded late is no part of it
                began = time.process_time()
                one.generate_rows(rows)
            spent.append(time.process_time() - began)
        return spent[1] / spent[0]

    @contextmanager
    def _written(self, samples: Sequence[Tensor]) -> Generator[list[Path]]:
        """The samples as files, which judges read; gone afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            yield [self.base.write_sample(s, Path(folder) / f"{i:06d}") for i, s in enumerate(samples)]

    def _scores(self, rows: Sequence[PlanRow], paths: Sequence[Path]) -> list[dict[str, float]]:
        return checked_scores(
            self.scorer, [Trial(row, "compared", path, path) for row, path in zip(rows, paths, strict=True)]
        )

    @staticmethod
    def _rate(values: Sequence[float | None]) -> Figure:
        """A rate of those that could be judged; ``asked`` counts all."""
        judged = [value for value in values if value is not None and not math.isnan(value)]
        hits = int(sum(judged))
        rate = wilson(hits, len(judged))
        return {
            "value": rate.value,
            "low": rate.low,
            "high": rate.high,
            "n": rate.n,
            "hits": hits,
            "asked": len(values),
        }

    def _distance(
        self, scorer: SetScorer, rows: list[PlanRow], paths: list[Path], task: str, seed: int
    ) -> dict[str, Figure]:
        """The first distance of a set scorer to the base's samples of the same rows; what it is for the base is its floor."""
        key = task, seed, rows[0].group
        if key not in self._embedded:
            with torch.no_grad():
                samples = self.base.generate_rows(rows)
            with self._written(samples) as own:
                self._embedded[key] = scorer.embed(own)
        pairs = scorer.compare(Group(rows, scorer.embed(paths), self._embedded[key], halves(len(rows))))
        return {
            name: {"value": pair.own, "floor": pair.base, "n": pair.n} for name, pair in [*pairs.items()][:1]
        }
