"""The figures of a comparison as tables, in Markdown and for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from lightning_modules.comparison.figures import Figures, pooled
from lightning_modules.comparison.words import FOUND, STOCK, TOGETHER
from redact_core.metrics.statistics import Rate
from redact_core.reporting.formats import MISSING

HEADS = {
    "redacted": "asked", "synonyms": "other names", "paraphrased": "unseen", "neighbours": "nearest",
    "retained": "others",
}  # fmt: skip
"""Group of a plan -> its column, where that says more."""
Table = list[list[str]]
"""Headings, then lines."""


def percent(rate: Rate | None, digits: int = 0, *, span: bool = True, count: bool = False) -> str:
    """In percent, as all tables show a rate; a dash where there is no sample.

    Args:
        rate: A share with its interval.
        digits: Decimals.
        span: With the interval.
        count: With the number of samples.
    """
    if rate is None or not rate.n:
        return MISSING
    return rate.percent(digits, span=span) + (f" of {rate.n}" if count else "")


def number(value: float | None, form: str, unit: str = "") -> str:
    """In the format ``form``; a dash where it is unknown."""
    return MISSING if value is None or math.isnan(value) else f"{format(value, form)}{unit}"


def markdown(table: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines: Iterable[Sequence[str]] = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def heads(groups: Sequence[str]) -> list[str]:
    """Headings of groups."""
    return [HEADS.get(group, group) for group in groups]


def choose_by(found: Figures) -> Table:
    """The small table: leak, damage and cost, a line a method; with an asterisk those on the front."""
    front = found.front()
    table = [
        [
            "method",
            "changes",
            *heads(found.leaks),
            f"{heads(found.kept[:1])[0]}, of" if found.kept else "kept",
            "seconds",
            "seeds",
        ]
    ]
    for name in found.methods:
        kept = found.kept[0] if found.kept else ""
        then = found.ceiling(name, kept)
        table.append(
            [
                f"{name} *" if name in front else name, found.changes(name),
                *(percent(found.rate(name, group)) for group in found.leaks),
                f"{percent(found.rate(name, kept))} of {percent(then, span=False)}",
                number(found.mean(name, "seconds"), ".1f"), str(len(found.seeds_of(name))),
            ]
        )  # fmt: skip
    return table


def damage(found: Figures) -> Table:
    """What happens to all that stays: found, found together with the rest of the request, and distances of whole groups."""
    both = [
        group
        for group in found.kept
        if any(found.rate(name, group, metric=TOGETHER) for name in found.methods)
    ]
    sets = list(
        dict.fromkeys(
            (row["group"], row["metric"]) for row in found.rows
            if row["group"] in found.kept and row["metric"] not in (FOUND, TOGETHER)
        )
    )  # fmt: skip
    names = dict(zip(found.kept, heads(found.kept), strict=True))
    table = [
        ["method", *names.values(), *(f"{names[group]}, all of it" for group in both),
         *(f"{names[group]}: {metric}" for group, metric in sets)]
    ]  # fmt: skip
    for name in found.methods:
        table.append(
            [name, *(percent(found.rate(name, group)) for group in found.kept),
             *(percent(found.rate(name, group, metric=TOGETHER)) for group in both),
             *(_with_floor(found, name, metric, group) for group, metric in sets)]
        )  # fmt: skip
    return table


def _with_floor(found: Figures, name: str, metric: str, group: str) -> str:
    own, floor = (found.mean(name, metric, group, value) for value in ("value", "floor"))
    return MISSING if own is None else f"{number(own, '.3g')} of {number(floor, '.3g')}"


def costs(found: Figures) -> Table:
    """What a method takes: to apply it, on the disk, and for each sample."""
    table = [["method", "changes", "seconds", "peak memory", "changed", "time of a sample"]]
    for name in found.methods:
        peak, size = found.mean(name, "peak bytes"), found.mean(name, "changed bytes")
        table.append(
            [
                name, found.changes(name), number(found.mean(name, "seconds"), ".1f"),
                number(peak and peak / 2**30, ".2f", " GiB"), number(None if size is None else size / 2**20, ".1f", " MiB"),
                number(1.0 if name == STOCK else found.mean(name, "time ratio"), ".2f"),
            ]
        )  # fmt: skip
    return table


def attacked(found: Figures) -> Table:
    """What comes back under attack; an attack that does not look at what was changed is marked."""
    table = [["method", *found.attacks]]
    for name in found.methods:
        cells = [name]
        for attack in found.attacks:
            rows = found.of(name, attack)
            rate = pooled(rows)
            blind = rate is not None and name != STOCK and not all(row.get("adaptive") for row in rows)
            cells.append(percent(rate) + (" (static)" if blind else ""))
        table.append(cells)
    return table


def worst_task(found: Figures) -> Table:
    """Of each attack the task that it brings back most of, which a rate over all tasks hides."""
    table = [["method", *found.attacks]]
    for name in found.methods:
        cells = [name]
        for attack in found.attacks:
            rates = {task: rate for task in found.tasks if (rate := found.rate(name, attack, task))}
            worst = max(rates, key=lambda task: rates[task].value, default=None)
            cells.append(MISSING if worst is None else _of_task(rates[worst], worst))
        table.append(cells)
    return table


def _of_task(rate: Rate, task: str) -> str:
    return f"{percent(rate)} {task}" if rate.value else percent(rate)


def attacked_by_seed(found: Figures) -> Table:
    """What comes back under attack after each training of the methods that were trained with several seeds."""
    table = [["method", "seed", *found.attacks]]
    for name in found.methods:
        seeds = found.seeds_of(name)
        if len(seeds) > 1:
            table += [
                [name, str(seed), *(percent(found.rate(name, attack, seed=seed)) for attack in found.attacks)]
                for seed in seeds
            ]
    return table


def settings(found: Figures) -> Table:
    """What was tried and what was taken."""
    table = [["method", "settings", "leak", "nearest", ""]]
    for name, entry in found.tuning.items():
        for trial in entry["tried"]:
            shown = ", ".join(f"{k} {v}" for k, v in trial["settings"].items()) or "defaults"
            leak, kept = (
                MISSING if trial[k] is None else f"{100 * trial[k]:.0f} %" for k in ("leak", "kept")
            )
            table.append([name, shown, leak, kept, "taken" if trial["settings"] == entry["taken"] else ""])
    return table


def by_task(found: Figures) -> Table:
    """Every task by itself."""
    groups = [*found.leaks, *found.kept]
    table = [["task", "method", *heads(groups)]]
    for task in found.tasks:
        for name in found.methods:
            if found.leaks and found.rate(name, found.leaks[0], task):
                table.append([task, name, *(percent(found.rate(name, group, task)) for group in groups)])
    return table
