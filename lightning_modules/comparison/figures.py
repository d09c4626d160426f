"""The rows of a comparison, asked by method and group: rates with intervals, costs, and who is beaten by nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightning_modules.comparison.words import COST, FOUND, STOCK
from redact_core.metrics.statistics import Rate, wilson_of_groups

Row = Mapping[str, Any]


def pooled(rows: Iterable[Row], metric: str = FOUND) -> Rate | None:
    """One rate of all hits in all trials, with an interval that counts how tasks differ; ``None`` where there are none."""
    groups: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row["metric"] == metric:
            hits, n = groups.get(row["task"], (0, 0))
            groups[row["task"]] = hits + row["hits"], n + row["n"]
    rate = wilson_of_groups([hits for hits, _ in groups.values()], [n for _, n in groups.values()])
    return rate if rate.n else None


class Figures:
    """What ``results.json`` holds.

    Args:
        found: Its content.
    """

    def __init__(self, found: Mapping[str, Any]):
        self.rows: Sequence[Row] = found["rows"]
        self.tuning, self.refused = found["tuning"], found["refused"]
        self.rule, self.development = found["rule"], found["development"]
        self.tasks: list[str] = self._distinct("task")
        self.seeds: list[int] = self._distinct("seed")
        self.leaks: list[str] = self._distinct("group", kind="plain", redacted=True)
        """Groups that ask for what was redacted, plainly."""
        self.kept: list[str] = self._distinct("group", kind="plain", redacted=False)
        self.attacks: list[str] = self._distinct("group", kind="attack")
        self.methods: list[str] = sorted(self._distinct("method"), key=self._order)
        """The base, then the others: the least leak first, and of equal leak the least damage."""

    def _distinct(self, name: str, **wanted: Any) -> list[Any]:
        rows = [row for row in self.rows if all(row.get(k) == v for k, v in wanted.items())]
        return list(dict.fromkeys(row[name] for row in rows))

    def _order(self, method: str) -> tuple[float, ...]:
        leak, lost = self.leak(method), self.lost(method)
        far = float("inf")
        return (
            (-1.0, 0.0) if method == STOCK else (far if leak is None else leak, far if lost is None else lost)
        )

    def of(self, method: str, group: str, task: str | None = None, seed: int | None = None) -> list[Row]:
        """Rows of a method and group, of one task or of all, of one seed or of all."""
        return [
            row
            for row in self.rows
            if row["method"] == method and row["group"] == group
            and task in (None, row["task"]) and seed in (None, row["seed"])
        ]  # fmt: skip

    def rate(
        self,
        method: str,
        group: str,
        task: str | None = None,
        metric: str = FOUND,
        seed: int | None = None,
    ) -> Rate | None:
        """Pooled over seeds and over tasks where none is named."""
        return pooled(self.of(method, group, task, seed), metric)

    def seeds_of(self, method: str) -> list[int]:
        """Seeds that the method was trained and judged with."""
        return sorted(
            {row["seed"] for row in self.rows if row["method"] == method and row["metric"] == FOUND}
        )

    def ceiling(self, method: str, group: str, metric: str = FOUND) -> Rate | None:
        """The untouched base's rate on the tasks and seeds that ``method`` has."""
        there = {(row["task"], row["seed"]) for row in self.of(method, group) if row["metric"] == metric}
        return pooled((row for row in self.of(STOCK, group) if (row["task"], row["seed"]) in there), metric)

    def mean(self, method: str, metric: str, group: str = COST, value: str = "value") -> float | None:
        """The mean of a metric that is no rate, over tasks and seeds; or of what stands beside it, such as its floor."""
        values = [
            row[value]
            for row in self.of(method, group)
            if row["metric"] == metric and row.get(value) is not None
        ]
        return sum(values) / len(values) if values else None

    def lost(self, method: str) -> float | None:
        """Points of the nearest that are found no more, the first of the groups that stay."""
        if not self.kept:
            return None
        now, then = self.rate(method, self.kept[0]), self.ceiling(method, self.kept[0])
        return None if now is None or then is None else 100 * (then.value - now.value)

    def leak(self, method: str) -> float | None:
        """Percent of plain requests that still work, the mean over the groups."""
        return self._percent(method, self.leaks)

    def attacked(self, method: str) -> float | None:
        """Percent that comes back under attack, the mean over the attacks that the method has a figure for."""
        return self._percent(method, self.attacks)

    def _percent(self, method: str, groups: Sequence[str]) -> float | None:
        rates = [rate.value for group in groups if (rate := self.rate(method, group)) is not None]
        return 100 * sum(rates) / len(rates) if rates else None

    def changes(self, method: str) -> str:
        """What the method changes."""
        return next((str(row["changes"]) for row in self.rows if row["method"] == method), "–")

    def front(self) -> list[str]:
        """Methods that no other one equals or betters in leak, damage and seconds at once."""
        known: dict[str, tuple[float, ...]] = {}
        for name in self.methods:
            leak, lost, cost = self.leak(name), self.lost(name), self.mean(name, "seconds")
            if name != STOCK and leak is not None and lost is not None:
                # what was made elsewhere took an unknown time, which betters nobody's
                known[name] = leak, max(lost, 0.0), float("inf") if cost is None else cost

        def beaten(name: str) -> bool:
            own = known[name]
            return any(
                all(a <= b for a, b in zip(other, own, strict=True)) and other != own
                for other in known.values()
            )

        return [name for name in known if not beaten(name)]
