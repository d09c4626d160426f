"""Write the tables of docs/results/gpu.md from the figures that scripts/gpu_check.sh measured.

    python scripts/tools/gpu_page.py docs/results/gpu/first_run.json docs/results/gpu/second_run.json docs/results/gpu.md

Each file is a ``gpu_check.json``, kept under the name of its run. Everything between the page's two marks is replaced; the rest of the page stays.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from marks import between

BEGIN, END = "<!-- from the runs -->", "<!-- end -->"


def figure(row: dict, key: str, form: str, unit: float = 1.0) -> str:
    value = row.get(key)
    return format(value / unit, form) if isinstance(value, int | float) else "–"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def trainings(parts: dict) -> list[str]:
    head = (
        "training",
        "precision",
        "ms a step",
        "of fp32",
        "peak MiB",
        "seconds",
        "redact distance",
        "retain distance",
    )
    rows = [
        (
            name,
            row["precision"],
            figure(row, "ms a step", ".2f"),
            figure(row, "of fp32", ".2f"),
            figure(row, "peak bytes", ".0f", 2**20),
            figure(row, "seconds", ".1f"),
            *(
                f"{figure(row, f'{kind} distance before', '.4f')} → {figure(row, f'{kind} distance after', '.4f')}"
                for kind in ("redact", "retain")
            ),
        )
        for name in ("prompt", "voice", "robust")
        for row in parts.get(name, {}).get("rows", [])
    ]
    return ["#### Training the bundled models", "", *markdown(head, rows), ""] if rows else []


def sizes(parts: dict) -> list[str]:
    head = ("encoder", "student", "precision", "ms a step", "ms of bare passes", "of fp32", "peak GiB", "TFLOP a step", "TFLOP/s", "of matrix rate")  # fmt: skip
    encoders = {"prompt": "CLIP-L text model", "voice": "ECAPA-TDNN, 1024 channels"}
    rows = [
        (
            encoders.get(row["encoder"], row["encoder"]),
            f"{row['student']}, batch {row.get('batch', 64)}",
            row["precision"],
            figure(row, "seconds", ".2f", 1e-3),
            figure(row, "bare", ".2f", 1e-3),
            figure(row, "of fp32", ".2f"),
            figure(row, "peak", ".2f", 2**30),
            figure(row, "flops", ".3f", 1e12),
            figure(row, "rate", ".1f", 1e12),
            figure(row, "share", ".1%"),
        )
        for name in ("size prompt", "size voice")
        for row in parts.get(name, {}).get("rows", [])
    ]
    return (
        ["#### A training step at real size, random weights", "", *markdown(head, rows), ""] if rows else []
    )


def tests(parts: dict) -> list[str]:
    return [
        line
        for row in parts.get("tests", {}).get("rows", [])
        for line in (
            "#### Tests marked `gpu`",
            "",
            ", ".join(f"{key}: {value}" for key, value in row.items()) + ".",
            "",
        )
    ]


def demo(found: dict) -> list[str]:
    head = ("redacted", "group", "metric", "untouched", "redacted model", "95 % interval", "n")
    rows = [
        (
            row["task"],
            row["group"],
            row["metric"],
            figure(row, "base", ".2f"),
            figure(row, "redacted", ".2f"),
            f"{figure(row, 'low', '.2f')} to {figure(row, 'high', '.2f')}",
            str(row["n"]),
        )
        for row in found["parts"].get("demo", {}).get("rows", [])
    ]
    return [f"#### The demo, {found['demo n']}", "", *markdown(head, rows), ""] if rows else []


def profiles(found: dict) -> list[str]:
    """The first line of each profile: how long kernels and the CPU took, and how many kernels a step starts."""
    said = [
        line
        for lines in (found.get("profiles") or {}).values()
        for line in lines
        if "profile of a step" in line
    ]
    return ["#### Profiles", "", *(f"- {line}" for line in said), ""] if said else []


def tables(name: str, found: dict) -> str:
    """All figures of the run ``name``, whose ``gpu_check.json`` is ``found``, as Markdown."""
    fp32 = f" Products of float32 numbers: {found['fp32']}." if "fp32" in found else ""
    parts = found["parts"]
    failed = [
        f"- not finished: {part}, which {row['failed']}." for part, row in parts.items() if "failed" in row
    ]
    lines = [
        f"### {name.replace('_', ' ').capitalize()}",
        "",
        f"Measured on {found['device']} with torch {found['torch']} on {found['date']}.{fp32}",
        "",
    ]
    lines += [*trainings(parts), *sizes(parts), *profiles(found), *tests(parts), *demo(found), *failed]
    return "\n".join(lines).strip()


def filled(page: str, runs: Sequence[Path]) -> str:
    """``page`` with the figures of ``runs`` between its marks."""
    shown = [tables(path.stem, json.loads(path.read_text(encoding="utf-8"))) for path in runs]
    return between(page, BEGIN, END, "\n\n".join(shown))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("page", type=Path)
    args = parser.parse_args()
    args.page.write_text(filled(args.page.read_text(encoding="utf-8"), args.runs), encoding="utf-8")


if __name__ == "__main__":
    main()
