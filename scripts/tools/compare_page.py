"""Write docs/results/compare_methods.md from the rows of scripts/experiments/compare_methods.py.

    python scripts/tools/compare_page.py out/compare/results.json docs/results/compare_methods.md
    python scripts/tools/compare_page.py out/compare_voices/results.json docs/results/compare_methods.md --name compare_voices
    python scripts/tools/compare_page.py out/one/results.json out/two/results.json docs/results/compare_methods.md

Rows of several files stand in one table; where two hold the same figure, that of the later file. The rows are copied beside the page as NAME.json, and the plot goes to the folder of images. Everything between the page's two marks of
that name is replaced; the rest of the page stays.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marks import between

from lightning_modules.comparison import tables
from lightning_modules.comparison.figures import Figures

END = "<!-- end -->"


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

    figure, both = plt.subplots(1, 2, figsize=(12, 5), sharex=True, sharey=True)
    front = found.front()
    losses = [lost for lost in map(found.lost, found.methods) if lost is not None]
    wide = 0.12 * (max(losses) - min(losses)) if losses else 0.0
    for axes, leak_of, title in (
        (both[0], found.leak, "plain requests that still work, %"), (both[1], found.attacked, "found again under attack, %"),
    ):  # fmt: skip
        placed: list[tuple[float, float]] = []
        for name in found.methods:
            leak, lost = leak_of(name), found.lost(name)
            if leak is None or lost is None:
                continue
            area = 30 + 60 * math.log10(1 + (found.mean(name, "seconds") or 0.0))
            colour = {"encoder": "#1f5fa8", "generator": "#b3541e"}.get(found.changes(name), "#777777")
            edge = "black" if name in front else "none"
            axes.scatter(lost, leak, s=area, color=colour, edgecolors=edge, linewidths=1.5, zorder=3)
            # names of points that lie together stand above one another
            level = sum(abs(lost - x) <= wide and abs(leak - y) < 3 for x, y in placed)
            placed.append((lost, leak))
            axes.annotate(
                name, (lost, leak), xytext=(6, 4 + 10 * level), textcoords="offset points", fontsize=8
            )
        axes.margins(x=0.12)
        axes.set_xlabel("points of the nearest that are lost")
        axes.set_title(title, fontsize=9)
        axes.grid(alpha=0.3)
    figure.suptitle(
        "blue: encoder, orange: generator, gray: both or none; the larger, the longer it takes; ringed: on the front",
        fontsize=8,
    )
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def body(found: Figures, name: str) -> str:
    """All between the marks."""
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
        f"{deeper} What stays\n\n*All of it*: everything that the request asks for is found together. A distance stands beside that of the base's own halves.\n",
        tables.markdown(tables.damage(found)) + "\n",
        f"{deeper} Cost\n\n*Changed*: weights that are not the base's any more. *Time of a sample* is beside the untouched model's.\n",
        tables.markdown(tables.costs(found)) + "\n",
        f"{deeper} Settings that were tried\n",
        tables.markdown(tables.settings(found)) + "\n",
    ]
    if len(found.tasks) > 1:
        parts += [f"{deeper} Task by task\n", tables.markdown(tables.by_task(found)) + "\n"]
    if refused:
        parts.append(f"{deeper} Not applied\n\n{refused}")
    return "\n".join(parts)


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
    text = json.dumps(results, indent=1, allow_nan=False)
    args.page.with_name(f"{args.name}.json").write_text(text + "\n", encoding="utf-8")
    plot(found, args.page.parents[1] / "images" / f"{args.name}.png")
    args.page.write_text(filled(args.page.read_text(encoding="utf-8"), found, args.name), encoding="utf-8")


if __name__ == "__main__":
    main()
