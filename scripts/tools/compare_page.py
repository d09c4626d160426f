"""Write docs/results/compare_methods.md from the rows of scripts/experiments/compare_methods.py.

    python scripts/tools/compare_page.py out/compare/results.json docs/results/compare_methods.md

The rows are copied beside the page, the plot goes to docs/images. Everything between the page's two marks is replaced; the rest of the
page stays.
"""

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from marks import between

from redact_core.metrics.statistics import Rate, wilson

BEGIN, END = "<!-- from compare_methods.json -->", "<!-- end -->"
BASE = "untouched"
PLAIN = ("asked", "reworded", "other names")
KEPT = ("ten nearest", "others")
COST = "cost"
_MISSING = "–"
Row = Mapping[str, Any]


def pooled(rows: Iterable[Row]) -> Rate | None:
    """One rate of all hits in all trials; ``None`` where there are none."""
    chosen = [row for row in rows if row["metric"] == "found"]
    total = sum(row["n"] for row in chosen)
    return wilson(sum(row["hits"] for row in chosen), total) if total else None


class Figures:
    """The rows of a comparison, asked by method and group."""

    def __init__(self, found: Mapping[str, Any]):
        self.rows: Sequence[Row] = found["rows"]
        self.tuning, self.refused = found["tuning"], found["refused"]
        self.rule, self.development = found["rule"], found["development"]
        self.methods = self._distinct("method", lambda row: True)
        self.tasks = self._distinct("task", lambda row: True)
        self.seeds = self._distinct("seed", lambda row: True)
        fixed = (*PLAIN, *KEPT, COST)
        self.attacks = self._distinct("group", lambda row: row["group"] not in fixed)

    def _distinct(self, name: str, wanted: Any) -> list[Any]:
        return list(dict.fromkeys(row[name] for row in self.rows if wanted(row)))

    def of(self, method: str, group: str, task: str | None = None) -> list[Row]:
        """Rows of a method and group; of one task, or of those for which the method is complete in that group."""
        return [
            row
            for row in self.rows
            if row["method"] == method and row["group"] == group and task in (None, row["task"])
        ]

    def rate(self, method: str, group: str, task: str | None = None) -> Rate | None:
        return pooled(self.of(method, group, task))

    def ceiling(self, method: str, group: str) -> Rate | None:
        """The untouched base's rate on the tasks and seeds that ``method`` has."""
        there = {(row["task"], row["seed"]) for row in self.of(method, group)}
        return pooled(row for row in self.of(BASE, group) if (row["task"], row["seed"]) in there)

    def cost(self, method: str, metric: str) -> float | None:
        """The mean over tasks and seeds."""
        values = [row["value"] for row in self.of(method, COST) if row["metric"] == metric]
        return sum(values) / len(values) if values else None

    def lost(self, method: str) -> float | None:
        """Points of the ten nearest that are found no more."""
        now, then = self.rate(method, KEPT[0]), self.ceiling(method, KEPT[0])
        return None if now is None or then is None else 100 * (then.value - now.value)

    def leak(self, method: str) -> float | None:
        """Percent of plain requests that still work, the mean over the kinds of request."""
        rates = [rate.value for group in PLAIN if (rate := self.rate(method, group)) is not None]
        return 100 * sum(rates) / len(rates) if rates else None

    def changes(self, method: str) -> str:
        return next((row["changes"] for row in self.rows if row["method"] == method), _MISSING)

    def front(self) -> list[str]:
        """Methods that no other one beats in both leak and damage."""
        known = {
            name: (leak, lost)
            for name in self.methods
            if (leak := self.leak(name)) is not None and (lost := self.lost(name)) is not None
        }

        def beaten(name: str) -> bool:
            own = known[name]
            return any(a <= own[0] and b <= own[1] and (a, b) != own for a, b in known.values())

        return [name for name in known if not beaten(name)]


def percent(rate: Rate | None, *, span: bool = True) -> str:
    if rate is None:
        return _MISSING
    interval = f" [{100 * rate.low:.0f}, {100 * rate.high:.0f}]" if span else ""
    return f"{100 * rate.value:.0f} %{interval}"


def number(value: float | None, form: str) -> str:
    return _MISSING if value is None or math.isnan(value) else format(value, form)


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def what_it_holds(found: Figures) -> str:
    """In words: tasks, prompts, seeds, trials."""
    sizes = sorted({row["n"] for row in found.rows if row["metric"] == "found" and row["group"] in PLAIN})
    attacked = sorted({row["n"] for row in found.rows if row["group"] in found.attacks})
    tried = sorted({len(entry["tried"]) for entry in found.tuning.values()})
    single = [name for name, entry in found.tuning.items() if len(entry["tried"]) == 1]
    text = (
        f"It holds {_many(len(found.tasks), 'task')} ({', '.join(found.tasks)}), {_list(sizes)} prompts a group and "
        f"{_list(attacked)} under attack, and {_many(len(found.seeds), 'seed')} "
        f"({_list(found.seeds)}). Settings were chosen on {found.development} ({found.rule}), {_list(tried)} trials a method"
    )
    return text + (f"; {', '.join(single)} were taken with their first settings.\n" if single else ".\n")


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _list(values: Sequence[object]) -> str:
    return " or ".join(map(str, values)) or "no"


def summary(found: Figures) -> str:
    """One line a method over all tasks."""
    front = found.front()
    heads = ["method", "changes", *PLAIN, "ten nearest, of", "seconds", "changed", "time"]
    lines = []
    for name in found.methods:
        then = found.ceiling(name, KEPT[0])
        size = found.cost(name, "changed bytes")
        lines.append(
            [
                f"**{name}**" if name in front else name, found.changes(name),
                *(percent(found.rate(name, group)) for group in PLAIN),
                f"{percent(found.rate(name, KEPT[0]))} of {percent(then, span=False)}",
                number(found.cost(name, "seconds"), ".1f"),
                _MISSING if size is None else f"{size / 2**20:.1f} MiB",
                number(1.0 if name == BASE else found.cost(name, "time ratio") or 1.0, ".2f"),
            ]
        )  # fmt: skip
    return markdown(heads, lines)


def attacked(found: Figures) -> str:
    """What comes back under attack; an attack that cannot look at what was changed is marked."""
    lines = []
    for name in found.methods:
        cells = []
        for attack in found.attacks:
            rows = found.of(name, attack)
            mark = "" if not rows or name == BASE or all(row["adaptive"] for row in rows) else " (static)"
            cells.append(percent(pooled(rows)) + mark)
        lines.append([name, *cells])
    return markdown(["method", *found.attacks], lines)


def settings(found: Figures) -> str:
    """What was tried and what was taken."""
    lines = []
    for name, entry in found.tuning.items():
        for trial in entry["tried"]:
            taken = "taken" if trial["settings"] == entry["taken"] else ""
            shown = ", ".join(f"{k} {v}" for k, v in trial["settings"].items()) or "defaults"
            leak, kept = (
                _MISSING if trial[key] is None else f"{100 * trial[key]:.0f} %" for key in ("leak", "kept")
            )
            lines.append([name, shown, leak, kept, taken])
    return markdown(["method", "settings", "leak", "ten nearest", ""], lines)


def by_task(found: Figures) -> str:
    """Every task by itself."""
    groups = (*PLAIN, *KEPT)
    lines = [
        [task, name, *(percent(found.rate(name, group, task)) for group in groups)]
        for task in found.tasks
        for name in found.methods
        if found.rate(name, PLAIN[0], task)
    ]
    return markdown(["task", "method", *groups], lines)


def plot(found: Figures, path: Path) -> None:
    """Leak against damage; the larger a dot, the longer the redaction took."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 5))
    front = found.front()
    for name in found.methods:
        leak, lost = found.leak(name), found.lost(name)
        if leak is None or lost is None:
            continue
        seconds = found.cost(name, "seconds") or 0.0
        area = 30 + 60 * math.log10(1 + seconds)
        colour = {"encoder": "#1f5fa8", "denoiser": "#b3541e"}.get(found.changes(name), "#777777")
        edge = "black" if name in front else "none"
        axes.scatter(lost, leak, s=area, color=colour, edgecolors=edge, linewidths=1.5, zorder=3)
        axes.annotate(name, (lost, leak), xytext=(6, 4), textcoords="offset points", fontsize=8)
    axes.set_xlabel("points of the ten nearest concepts that are lost")
    axes.set_ylabel("plain requests that still work, %")
    axes.set_title(
        "blue: encoder, orange: denoiser, gray: nothing is changed; ringed: not beaten in both", fontsize=8
    )
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def body(found: Figures) -> str:
    """All between the marks."""
    refused = "".join(f"- {name}: {why}\n" for name, why in found.refused.items())
    parts = [
        what_it_holds(found),
        "## One line a method\n\nIn bold: no other method has both less leak and less damage. Seconds are processor "
        "seconds of one thread; *time* is that of drawing, beside the untouched model.\n",
        summary(found) + "\n",
        "![Leak against damage](../images/compare_methods.png)\n",
        "## Under attack\n\n*Static*: the search does not look at what the method changed, so that a low figure proves "
        "little.\n",
        attacked(found) + "\n",
        "## Settings that were tried\n",
        settings(found) + "\n",
        "## Task by task\n",
        by_task(found) + "\n",
    ]
    if refused:
        parts.append(f"## Not applied\n\n{refused}")
    return "\n".join(parts)


def filled(page: str, found: Figures) -> str:
    """``page`` with the tables between its marks."""
    return between(page, BEGIN, END, body(found).rstrip("\n"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", type=Path)
    parser.add_argument("page", type=Path)
    args = parser.parse_args()
    text = args.figures.read_text(encoding="utf-8")
    found = Figures(json.loads(text))
    args.page.with_suffix(".json").write_text(text, encoding="utf-8")
    plot(found, args.page.parents[1] / "images" / "compare_methods.png")
    args.page.write_text(filled(args.page.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
