"""Write the tables of docs/results/voice_gates.md from docs/results/voice_gates, and those files from what experiments wrote.

    python scripts/experiments/voice_gates_page.py --take ge2e=OUT/results.json --take many=OUT/many_voices.json
    python scripts/experiments/voice_gates_page.py

A table stands between ``<!-- table NAME -->`` and ``<!-- end -->``. ``--take NAME=FILE`` keeps the means of a
results.json over people, the counts of a receipt of withdrawals, and other files as they are: many_voices.json, print.json, what voice_attacks.py wrote. Rows of a frontier.json are added to those that are there.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from people.targets import percent, shown, target_table
from voice_methods import methods_table

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from marks import tables_of as tables_of
from marks import with_tables

from lightning_modules.support.one_line import one_line
from redact_core.metrics.statistics import Rate, wilson

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE = ROOT / "docs" / "results" / "voice_gates", ROOT / "docs" / "results" / "voice_gates.md"


def means(rows: list[dict]) -> dict:
    """Of rows {person, group, metric, base, redacted, n}: means over people, the worst one, and all that were counted."""
    found: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        found.setdefault((row["group"], row["metric"]), []).append(row)
    out = []
    for (group, metric), some in found.items():
        base = [r["base"] for r in some if r["base"] is not None]
        after = [r["redacted"] for r in some if r["redacted"] is not None]
        if not after:
            continue
        worst = min(after) if group.startswith("kept") else max(after)
        row = {
            "group": group, "metric": metric, "people": len(some), "n": sum(r["n"] for r in some),
            "base": round(statistics.fmean(base), 4) if base else None,
            "redacted": round(statistics.fmean(after), 4), "worst": round(worst, 4),
        }  # fmt: skip
        if metric.startswith("identified"):
            pooled = wilson(sum(round(r["redacted"] * r["n"]) for r in some), row["n"])
            row |= {"low": round(pooled.low, 4), "high": round(pooled.high, 4)}
        out.append(row)
    return {"rows": out, "people": sorted({row["person"] for row in rows})}


def merged(found: dict, kept: Path) -> dict:
    """Rows of gate_splits.py with those that are there of other settings, in the order of the table."""
    keys = ("encoder", "clips", "sure", "gain", "cap", "people")
    rows = json.loads(kept.read_text(encoding="utf-8"))["rows"] if kept.is_file() else []
    every = {tuple(row[k] for k in keys): row for row in (*rows, *found["rows"])}

    def place(row: dict) -> tuple:
        cap = math.inf if row["cap"] is None else row["cap"]
        return row["encoder"] != "ge2e", -row["clips"], -row["sure"], row["gain"], -cap, row["people"] != "LibriSpeech"  # fmt: skip

    return {"rows": sorted(every.values(), key=place)}


def summary(receipt: dict) -> dict:
    """Of a receipt of withdrawals, without anybody's name."""
    changed = receipt["measured"]["clips changed"]
    return {
        "voices": len(receipt["withdrawn"]),
        "clips": sum(len(x["clips"]) for x in receipt["withdrawn"].values()),
        "clips changed": sum(changed.values()),
        "kept clips": receipt["measured"]["kept clips"],
        "kept clips changed": receipt["measured"]["kept clips changed"],
        "likeness of any output at most": max(
            x["likeness of any output at most"] for x in receipt["withdrawn"].values()
        ),
        "CPU seconds": receipt["CPU seconds"],
    }


def people_table(*found: dict | None) -> str:
    """Of several runs side by side: means over people, and the worst of them."""
    names = ("GE2E, 4 clips", "GE2E, 2 clips", "bundled ECAPA, 4 clips")
    runs = [run for run in found if run is not None]
    heads = [
        f"{name}, {len(run['people'])} people: before | after | worst"
        for name, run in zip(names, found, strict=False)
        if run is not None
    ]
    lines = [f"| group | measure | {' | '.join(heads)} |", "|---" * (2 + 3 * len(runs)) + "|"]
    rows = [{(r["group"], r["metric"]): r for r in run["rows"]} for run in runs]
    for key in rows[0]:
        if key[0].startswith("attack") or key[1] in ("margin", "gain"):
            continue
        cells = [
            " | ".join(shown(row[x]) for x in ("base", "redacted", "worst")) if row else "– | – | –"
            for row in (one.get(key) for one in rows)
        ]
        lines.append(f"| {' | '.join((*key, *cells))} |")
    return "\n".join(lines)


def attacks_table(found: dict) -> str:
    """Of the attacks alone: counts over all clips with their interval, likeness over people."""
    lines = [
        f"{len(found['people'])} people: {', '.join(found['people'])}.",
        "",
        "| attack | measure | n | before | after | 95 % interval | worst person |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        if not row["group"].startswith(("attack", "any")):
            continue
        within = f"{shown(row['low'])} to {shown(row['high'])}" if "low" in row else "–"
        lines.append(
            f"| {row['group'].removeprefix('attack on ')} | {row['metric']} | {row['n'] or '–'} | {shown(row['base'])} | "
            f"{shown(row['redacted'])} | {within} | {shown(row['worst'])} |"
        )
    return "\n".join(lines)


def many_table(found: dict) -> str:
    lines = [
        "| voices | | identified before | after | n | among sixteen | likeness | strangers' | given: same bits | "
        "unseen clips: same bits | cosine | named as before | seconds | kB a voice |",
        "|---" * 14 + "|",
    ]
    for way, rows in (("one by one", found["rows"]), ("at once", found["at once"])):
        for r in rows:
            if way == "at once" and r["voices"] == 1:
                continue
            lines.append(
                f"| {r['voices']} | {way} | {percent(r['identified before'])} | {percent(r['identified'])} (to "
                f"{percent(r['high'])}) | {r['n']} | {percent(r['identified among few'])} | {r['likeness']:.3f} | "
                f"{r['likeness of strangers']:.3f} | {percent(r['given, same to the bit'])} | "
                f"{percent(r['unseen clips of kept people, same to the bit'])} | "
                f"{r['unseen clips of kept people, cosine']:.4f} | "
                f"{percent(r['unseen clips of kept people, named as before'])} | {r['seconds']:.1f} | "
                f"{r['kilobytes'] / r['voices']:.0f} |"
            )
    return "\n".join(lines)


def levels_table(rising: dict, fixed: dict) -> str:
    """One by one: what gates cost whose caps rise with their number, beside gates that know nothing of one another."""
    lines = [
        "| voices | caps rise: same bits | cosine | identified | every gate as if alone: same bits | cosine | identified |",
        "|---" * 7 + "|",
    ]
    for pair in zip(rising["rows"], fixed["rows"], strict=True):
        cells = [
            f"{percent(r['unseen clips of kept people, same to the bit'])} | {r['unseen clips of kept people, cosine']:.4f} | "
            f"{percent(r['identified'])} (to {percent(r['high'])})"
            for r in pair
        ]
        lines.append(f"| {pair[0]['voices']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def revival_table(found: dict) -> str:
    names = [key for key in found["revival"][-1] if key != "after"]
    lines = [
        "| after | " + " | ".join(f"requests {n}" for n in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for row in found["revival"]:
        cells = [f"{100 * row[n]:.1f} %" if n in row else "" for n in names]
        lines.append(f"| {row['after']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rate(row: dict) -> str:
    return Rate(**row).percent(0)


def embedding_table(found: dict) -> str:
    """What a caller passes, what reaches the generator, and whom the verifier identifies in its speech."""
    lines = [
        "| passed | clips | likeness, mean; largest | named as the voice | samples | identified in the speech | similarity of the speech |",
        "|---" * 7 + "|",
    ]
    rows = (
        ("a clip, to the stock encoder", found["Nothing"]["base"]),
        ("a clip, to the gated encoder", found["Nothing"]["redacted"]),
        ("the stock embedding, past the gated encoder", found["OriginalEmbedding"]["redacted"]),
        ("the stock embedding, gates in front of the generator", found["OriginalEmbedding, gated embeddings"]["redacted"]),
    )  # fmt: skip
    for label, row in rows:
        named, heard = (
            rate(wilson(round(row[share] * row[count]), row[count])._asdict())
            for share, count in (("nearest", "clips"), ("identified", "samples"))
        )
        lines.append(
            f"| {label} | {row['clips']} | {row['heard']:.2f}; {row['best']:.2f} | {named} | {row['samples']} | {heard} | "
            f"{row['similarity']:.2f} |"
        )
    return "\n".join(lines)


def print_table(found: dict) -> str:
    """Whom the file of a gate names, as its direction is turned away from the voice by noise."""
    lines = [
        "| direction's cosine to the voice | named by the direction | less the mean | by what opens the gate | among | the voice's unseen clips unchanged | "
        "identified | unknown people: cosine |",
        "|---" * 8 + "|",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {row['cosine']:g} | {rate(row['named by the direction'])} | {rate(row['named by the direction less the mean'])} | "
            f"{rate(row['named by what opens it'])} | {row['among']} | {percent(row['unseen clips unchanged'])} | "
            f"{percent(row['identified'])} | {row['unknown cosine']:.4f} |"
        )
    return "\n".join(lines)


def spread(figure: dict | None, short: bool) -> str:
    """A mean with the worst in brackets; of a row that was made before the figure was taken a dash."""
    if figure is None:
        return "–"
    return f"{figure['mean']:.2f}" if short else f"{figure['mean']:.4f} ({figure['worst']:.3f})"


def frontier_table(found: dict) -> str:
    lines = [
        "| encoder | clips learnt | people | sure | gain | cap | identified | among sixteen | AUROC | replaced | "
        "unknown people: cosine | nearest three | nearest three, named among sixteen: before | after |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    names = (
        "identified",
        "identified among sixteen",
        "auroc",
        "replaced",
        "unknown cosine",
        "unknown nearest three cosine",
        "nearest three unknown, named among sixteen before",
        "nearest three unknown, named among sixteen",
    )
    for r in found["rows"]:
        cells = [spread(r.get(n), n == "replaced" or n.startswith("nearest")) for n in names]
        lines.append(
            f"| {r['encoder']} | {r['clips']} | {r['people']}, {r['targets']} | {r['sure']:g} | {r['gain']:g} | "
            f"{'none' if r['cap'] is None else format(r['cap'], 'g')} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def search_table(*found: dict) -> str:
    """What a search of embeddings reaches among sixteen, by the cap, and what the cap costs."""
    lines = [
        "| encoder | cap | likeness at the cap | named as the voice among sixteen | by how much ahead of the nearest other | likeness reached | "
        "unknown people: cosine | nearest three |",
        "|---" * 8 + "|",
    ]
    for run in found:
        for r in run["rows"]:
            free = r["deviations"] is None
            named = wilson(round(r["named"] * r["people"] * r["starts"]), r["people"] * r["starts"])
            lines.append(
                f"| {run['encoder']} | {'none' if free else format(r['deviations'], 'g')} | {'–' if free else format(r['cap'], '.2f')} | "
                f"{named.percent(0, span=False)} of {named.n} | {r['ahead']:+.3f} | {r['likeness']:.2f} | {r['unknown cosine']:.4f} | "
                f"{r['unknown nearest three cosine']:.4f} |"
            )
    return "\n".join(lines)


TABLES: dict[str, tuple[str | tuple[str, ...], Callable[..., str]]] = {
    "targets": (("ge2e", "ecapa?", "ge2e_attacks", "ecapa_attacks?", "many", "one_voice?", "fifty_voices?"), target_table),
    "people": (("ge2e", "ge2e_two_clips", "ecapa?"), people_table),
    "frontier": ("frontier", frontier_table), "search": (("search", "search_ecapa"), search_table),
    "ge2e_attacks": ("ge2e_attacks", attacks_table), "ecapa_attacks": ("ecapa_attacks", attacks_table),
    "many": ("many", many_table), "levels": (("many", "many_fixed"), levels_table), "revival": ("many", revival_table),
    "embedding": ("embedding", embedding_table), "methods": ("methods", lambda found: methods_table(found).markdown()),
    "print": ("print", print_table), "print_ecapa": ("print_ecapa", print_table),
}  # fmt: skip
"""Name on the page -> files of docs/results/voice_gates, and what writes the table of them; a table can do without those with ``?``."""


def files_of(table: str) -> list[Path]:
    """Files of a table, also of those runs that it can do without."""
    files = TABLES[table][0]
    return [RESULTS / f"{name.rstrip('?')}.json" for name in ((files,) if isinstance(files, str) else files)]


def written(page: str) -> str:
    """``page`` with its tables as the files of results have them; a table whose files are not all there stays as it is."""

    def table(name: str) -> str | None:
        files, write = TABLES[name]
        paths = files_of(name)
        found = [json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None for path in paths]
        wanted = [not name.endswith("?") for name in ((files,) if isinstance(files, str) else files)]
        if any(need and one is None for need, one in zip(wanted, found, strict=True)):
            return None
        return write(*found)

    return with_tables(page, table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--take", nargs="*", action="extend", default=[], metavar="NAME=FILE")
    args = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for entry in args.take:
        name, _, file = entry.partition("=")
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        if isinstance(found, list):
            found = means(found)
        elif "withdrawn" in found:
            found = summary(found)
        elif name == "frontier":
            found = merged(found, RESULTS / "frontier.json")
        (RESULTS / f"{name}.json").write_text(
            json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )

    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    with one_line():
        main()
