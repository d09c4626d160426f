"""Write the tables of docs/voice_gates.md from docs/results/voice_gates, and those files from what experiments wrote.

    python scripts/experiments/voice_gates_page.py --take ge2e=OUT/results.json --take many=OUT/many_voices.json
    python scripts/experiments/voice_gates_page.py

A table stands between ``<!-- table NAME -->`` and ``<!-- end -->``. ``--take NAME=FILE`` keeps the means of a
results.json over people, or a many_voices.json as it is; for ``attacks.json`` of voice_attacks.py likewise.
"""

import argparse
import json
import re
import statistics
from pathlib import Path

from redact_core.metrics.statistics import wilson

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE = ROOT / "docs" / "results" / "voice_gates", ROOT / "docs" / "voice_gates.md"
MARK = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


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


def shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}".rstrip("0").rstrip(".") or "0"


def people_table(found: dict) -> str:
    lines = [
        "| group | measure | people | n | before | after | worst person |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {row['group']} | {row['metric']} | {row['people']} | {row['n'] or '–'} | {shown(row['base'])} | "
            f"{shown(row['redacted'])} | {shown(row['worst'])} |"
        )
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


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


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


def attack_table(found: dict) -> str:
    lines = [
        "| attack | rows | likeness, stock | gated | named as the voice, stock | gated |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        stock, gated = row["base"], row["redacted"]
        lines.append(
            f"| {name} | {gated['n']} | {stock['heard']:.2f} | {gated['heard']:.2f} | {100 * stock['nearest']:.0f} % | "
            f"{100 * gated['nearest']:.0f} % |"
        )
    return "\n".join(lines)


def rate(row: dict) -> str:
    return f"{100 * row['value']:.0f} % [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"


def methods_table(found: dict) -> str:
    """Methods side by side, a row an attack."""
    names = {"Gating": "gate", "Distillation": "distillation", "untouched": "untouched"}
    shown = [names.get(entry, entry.partition(":")[0].replace("RobustD", "robust d")) for entry in found]
    some = next(iter(found.values()))
    lines = [f"| | {' | '.join(shown)} |", "|---" * (len(found) + 1) + "|"]

    def line(label: str, cells: list[str]) -> None:
        lines.append(f"| {label} | {' | '.join(cells)} |")

    line("seconds of one core", [f"{x['seconds']:.0f}" if x["seconds"] else "–" for x in found.values()])
    for attack, row in some.items():
        if not isinstance(row, dict):
            continue
        budgets = {x[attack]["budget"] for x in found.values()} - {"-"}
        same = f", {budgets.pop()}" if len(budgets) == 1 else ""
        line(
            f"identified, {attack}{same}, n = {row['n']}",
            [
                rate(x[attack]) + (f" ({x[attack]['budget']})" if len(budgets) > 1 else "")
                for x in found.values()
            ],
        )
        line("likeness, mean; largest", [f"{x[attack]['heard']:.2f}; {x[attack]['most']:.2f}" for x in found.values()])  # fmt: skip
    for key, label in (
        ("kept", "others' unseen clips: cosine"), ("kept, three nearest", "the three nearest voices"),
    ):  # fmt: skip
        line(label, [f"{x[key]:.4f}" for x in found.values()])
    line("others' unseen clips: same bits", [percent(x["kept, same bits"]) for x in found.values()])
    return "\n".join(lines)


def embedding_table(found: dict) -> str:
    """What a caller passes, and what comes out, by embedding and by the verifier's judgement of samples."""
    lines = [
        "| passed | likeness | named as the voice | samples | similarity, by the verifier | identified by it |",
        "|---" * 6 + "|",
    ]
    rows = (
        ("a clip, to the stock encoder", found["Nothing"]["base"]),
        ("a clip, to the gated encoder", found["Nothing"]["redacted"]),
        ("the stock embedding, past the gated encoder", found["OriginalEmbedding"]["redacted"]),
        ("the stock embedding, gates in front of the generator", found["OriginalEmbedding, gated embeddings"]["redacted"]),
    )  # fmt: skip
    for label, row in rows:
        hits = wilson(round(row["identified"] * row["samples"]), row["samples"])
        lines.append(
            f"| {label} | {row['heard']:.2f} | {percent(row['nearest'])} | {row['samples']} | {row['similarity']:.2f} | {rate(hits._asdict())} |"
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


TABLES = {
    "frontier": ("frontier", frontier_table), "ge2e_two_clips": ("ge2e_two_clips", people_table),
    "ge2e": ("ge2e", people_table), "ge2e_attacks": ("ge2e_attacks", attacks_table), "ecapa_attacks": ("ecapa_attacks", attacks_table), "many": ("many", many_table),
    "revival": ("many", revival_table), "bundled": ("bundled", attack_table), "methods": ("methods", methods_table),
    "embedding": ("embedding", embedding_table), "print": ("print", print_table), "print_ecapa": ("print_ecapa", print_table),
}  # fmt: skip


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
        (RESULTS / f"{name}.json").write_text(
            json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )

    def filled(match: re.Match[str]) -> str:
        file, write = TABLES[match.group(2)]
        path = RESULTS / f"{file}.json"
        if not path.is_file():
            return match.group(0)
        return match.group(1) + write(json.loads(path.read_text(encoding="utf-8"))) + "\n" + match.group(3)

    PAGE.write_text(MARK.sub(filled, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
