"""Write the tables of docs/results/gpu.md from the figures that scripts/gpu_check.sh measured.

    python scripts/tools/gpu_page.py docs/results/gpu_check.json docs/results/gpu.md

Everything between the page's two marks is replaced; the rest of the page stays.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

BEGIN, END = "<!-- from gpu_check.json -->", "<!-- end -->"


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
    return ["### Training the bundled models", "", *markdown(head, rows), ""] if rows else []


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
    return ["### A training step at real size, random weights", "", *markdown(head, rows), ""] if rows else []


def tests(parts: dict) -> list[str]:
    return [
        line
        for row in parts.get("tests", {}).get("rows", [])
        for line in (
            "### Tests marked `gpu`",
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
    return [f"### The demo, {found['demo n']}", "", *markdown(head, rows), ""] if rows else []


def tables(found: dict) -> str:
    """All figures of ``found``, which is ``gpu_check.json``, as Markdown."""
    fp32 = f" Products of float32 numbers: {found['fp32']}." if "fp32" in found else ""
    parts = found["parts"]
    failed = [f"- **{name} failed**: {part['failed']}." for name, part in parts.items() if "failed" in part]
    lines = [f"Measured on {found['device']} with torch {found['torch']} on {found['date']}.{fp32}", ""]
    lines += [*trainings(parts), *sizes(parts), *tests(parts), *demo(found), *failed]
    return "\n".join(lines).strip()


def filled(page: str, found: dict) -> str:
    """``page`` with the figures of ``found`` between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables(found)}\n\n{END}{rest.split(END)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", type=Path, help="gpu_check.json")
    parser.add_argument("page", type=Path)
    args = parser.parse_args()
    found = json.loads(args.figures.read_text(encoding="utf-8"))
    args.page.write_text(filled(args.page.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
