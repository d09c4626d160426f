"""Write docs/results/compare_methods.md from the rows of scripts/experiments/compare_methods.py.

    python scripts/tools/compare_page.py out/compare/results.json docs/results/compare_methods.md
    python scripts/tools/compare_page.py out/compare_voices/results.json docs/results/compare_methods.md --name compare_voices
    python scripts/tools/compare_page.py out/one/results.json out/two/results.json docs/results/compare_methods.md

Rows of several files stand in one table; where two hold the same figure, that of the later file. The rows are copied beside the page
as NAME.json, or, of several tasks or seeds, as NAME/TASK_SEED.json, and the plot goes to the folder of images. Everything between the page's two
marks of that name is replaced; the rest of the page stays.
"""

import argparse
import json
import math
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marks import between

from lightning_modules.comparison import tables
from lightning_modules.comparison.figures import Figures
from lightning_modules.support.one_line import one_line

END = "<!-- end -->"
DERIVED = ("ceiling", "low", "high")
"""Of a row: they follow from ``hits`` and ``n``, and from the row of the untouched base."""


def begin(name: str) -> str:
    """The mark before what is written from NAME.json."""
    return f"<!-- from {name}.json -->"


def what_it_holds(found: Figures) -> str:
    """In words: tasks, prompts, seeds, trials."""
    sizes = sorted({row["n"] for row in found.rows if row["metric"] == "found" and row["kind"] == "plain"})
    attacked = sorted({row["n"] for row in found.rows if row["kind"] == "attack" and row["n"]})
    tried = sorted({len(entry["tried"]) for entry in found.tuning.values()} - {1})
    single = [name for name, entry in found.tuning.items() if len(entry["tried"]) == 1]
    text = (
        f"It holds {_many(len(found.tasks), 'task')} ({', '.join(found.tasks)}), {_list(sizes)} samples a group and "
        f"{_list(attacked)} under attack, and {_many(len(found.seeds), 'seed')} ({', '.join(map(str, found.seeds))})."
    )
    if tried:
        text += (
            f" Settings were chosen on {found.development} ({found.rule}), of {_list(tried)} trials a method"
        )
        text += f"; {', '.join(single)} were taken with their first settings." if single else "."
    return text + "\n"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _list(values: Sequence[object]) -> str:
    return " or ".join(map(str, values)) or "no"


def plot(found: Figures, path: Path) -> None:
    """Leak against damage, plain and under attack; the larger a dot, the longer the redaction took."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [name for name in found.methods if found.lost(name) is not None]
    figure, both = plt.subplots(1, 2, figsize=(12, 6), sharex=True, sharey=True)
    front = found.front()
    for axes, leak_of, title in (
        (both[0], found.leak, "plain requests that still work, %"), (both[1], found.attacked, "found again under attack, %"),
    ):  # fmt: skip
        # most lie near zero: roots spread them
        for scale in (axes.set_xscale, axes.set_yscale):
            scale("function", functions=(lambda x: x.clip(0) ** 0.5, lambda x: x.clip(0) ** 2))
        axes.set_xlim(0, 105)
        axes.set_ylim(0, 110)
        ticks = (0, 1, 5, 10, 20, 40, 60, 80, 100)
        axes.set_xticks(ticks)
        axes.set_yticks(ticks)
        spots = {
            name: (max(found.lost(name) or 0.0, 0.0), leak)
            for name in shown if (leak := leak_of(name)) is not None
        }  # fmt: skip
        taken = [tuple(axes.transData.transform(spot)) for spot in spots.values()]
        for number, name in enumerate(shown):
            if name not in spots:
                continue
            spot = spots[name]
            area = 30 + 60 * math.log10(1 + (found.mean(name, "seconds") or 0.0))
            colour = {"encoder": "#1f5fa8", "generator": "#b3541e"}.get(found.changes(name), "#777777")
            edge = "black" if name in front else "none"
            axes.scatter(
                *spot,
                s=area,
                color=colour,
                edgecolors=edge,
                linewidths=1.5,
                alpha=0.8,
                zorder=3,
                clip_on=False,
            )
            x, y = axes.transData.transform(spot)
            shift = free_place(x, y, taken, axes.transData.transform((0, 0)))
            taken.append((x + shift[0], y + shift[1]))
            axes.annotate(
                str(number), spot, xytext=shift, textcoords="offset pixels", fontsize=8, annotation_clip=False,
                ha="center", va="center", zorder=4, arrowprops={"arrowstyle": "-", "color": "#888888", "linewidth": 0.5},
            )  # fmt: skip
        axes.set_xlabel("points of the nearest that are lost")
        axes.set_title(title, fontsize=9)
        axes.grid(alpha=0.3)
    # a number and its name stay on one line: textwrap does not break at a no-break space
    names = "   ".join(
        f"{number} {name}".replace(" ", "\N{NO-BREAK SPACE}") for number, name in enumerate(shown)
    )
    figure.text(0.5, 0.01, textwrap.fill(names, 170), ha="center", va="bottom", fontsize=8)
    figure.suptitle(
        "blue: encoder, orange: generator, gray: both or none; the larger, the longer it takes; ringed: on the front",
        fontsize=8,
    )
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(path, dpi=100)
    plt.close(figure)


def free_place(
    x: float, y: float, taken: Sequence[tuple[float, ...]], corner: Sequence[float]
) -> tuple[float, float]:
    """Where the number of a dot at ``(x, y)`` stands, in pixels from it: near, away from dots and other numbers, and right of
    and above the ``corner`` of the axes, whose own numbers stand beyond."""
    for far in (16, 28, 40, 52, 64):
        for turn in range(12):
            angle = math.pi / 4 + turn * math.pi / 6
            shift = far * math.cos(angle), far * math.sin(angle)
            within = x + shift[0] > corner[0] + 5 and y + shift[1] > corner[1] + 5
            if within and all(math.hypot(x + shift[0] - a, y + shift[1] - b) > 15 for a, b in taken):
                return shift
    return 16.0, 16.0


def body(found: Figures, name: str) -> str:
    """All between the marks: what one chooses by, then the rest, which opens when it is asked for."""
    deeper = "#" * 3
    refused = "".join(f"- {method}: {why}\n" for method, why in found.refused.items())
    parts = [
        what_it_holds(found),
        f"{deeper} To choose by\n\nWith an asterisk: no other method has at most as much plain leak and damage in at most as many "
        "seconds. Seconds are processor seconds of one thread.\n",
        tables.markdown(tables.choose_by(found)) + "\n",
        f"![Leak against damage](../images/{name}.png)\n",
        f"{deeper} Under attack\n\n*Static*: the search does not look at what the method changed, so that a low figure proves "
        "little.\n",
        tables.markdown(tables.attacked(found)) + "\n",
        *closer(found),
        folded(
            "What stays",
            "*All of it*: everything that the request asks for is found together. A distance stands beside that of the base's own "
            "halves.",
            tables.damage(found),
        ),
        folded(
            "Cost",
            "*Changed*: weights that are not the base's any more. *Time of a sample* is beside the untouched model's.",
            tables.costs(found),
        ),
        folded("Settings that were tried", "", tables.settings(found)),
    ]
    if len(found.tasks) > 1:
        parts.append(folded("Task by task", "", tables.by_task(found)))
    if refused:
        parts.append(f"{deeper} Not applied\n\n{refused}")
    return "\n".join(parts)


def closer(found: Figures) -> list[str]:
    """What rates over all tasks and seeds hide, where there are several."""
    seeds = tables.attacked_by_seed(found)
    parts = []
    if len(found.tasks) > 1:
        parts.append(
            folded("Under attack: the worst task", "Pooled over its seeds.", tables.worst_task(found))
        )
    if len(seeds) > 1:
        parts.append(folded("Under attack: seed by seed", "Pooled over the tasks.", seeds))
    return parts


def folded(title: str, words: str, table: tables.Table) -> str:
    """A table that opens when it is asked for."""
    inside = "\n\n".join(part for part in (words, tables.markdown(table)) if part)
    return f'??? note "{title}"\n\n{textwrap.indent(inside, "    ")}\n'


def filled(page: str, found: Figures, name: str) -> str:
    """``page`` with the tables between its marks."""
    return between(page, begin(name), END, body(found, name).rstrip("\n"))


def merged(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Results of several folders as one: same base, judge and attacks, other methods, tasks or seeds."""
    rows = {
        tuple(row[key] for key in ("method", "task", "seed", "group", "metric", "kind")): row
        for one in found for row in one["rows"]
    }  # fmt: skip
    parts = {
        key: {name: value for one in found for name, value in one[key].items()}
        for key in ("tuning", "refused")
    }
    return {**found[-1], "rows": list(rows.values()), **parts}


def stored(results: dict[str, Any], path: Path) -> list[tuple[Path, str]]:
    """Files and their text: a row a line, without what follows from others; a file for each task and seed where there are several."""
    parts = list(dict.fromkeys((row["task"], row["seed"]) for row in results["rows"]))
    found: list[tuple[Path, str]] = []
    for part in parts:
        rows = [
            {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items() if k not in DERIVED}
            for row in results["rows"] if (row["task"], row["seed"]) == part
        ]  # fmt: skip
        for row in rows:
            if row.get("asked") == row.get("n"):
                row.pop("asked", None)
        rest = json.dumps({k: v for k, v in results.items() if k != "rows"}, allow_nan=False)
        lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
        task, seed = part
        file = f"{task.replace(' ', '_').replace(':', '')}_{seed}.json"
        found.append(
            (
                path.with_suffix(".json") if len(parts) == 1 else path / file,
                f'{rest[:-1]}, "rows": [\n{lines}\n]}}\n',
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", type=Path, nargs="+")
    parser.add_argument("page", type=Path)
    parser.add_argument("--name", default="compare_methods", help="Of the marks, the copy and the plot.")
    args = parser.parse_args()
    results = merged([json.loads(path.read_text(encoding="utf-8")) for path in args.figures])
    found = Figures(results)
    kept = args.page.with_name(args.name)
    if kept.is_dir():
        shutil.rmtree(kept)
    kept.with_suffix(".json").unlink(missing_ok=True)  # of one task and seed
    for path, part in stored(results, kept):
        path.parent.mkdir(exist_ok=True)
        path.write_text(part, encoding="utf-8")
    plot(found, args.page.parents[1] / "images" / f"{args.name}.png")
    args.page.write_text(filled(args.page.read_text(encoding="utf-8"), found, args.name), encoding="utf-8")


if __name__ == "__main__":
    with one_line():
        main()
