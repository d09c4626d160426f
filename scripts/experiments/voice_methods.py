"""Methods side by side under the same attacks on a voice, as a table; robust_voice.py measures it."""

from collections.abc import Mapping
from typing import Any

from lightning_modules.comparison.result_tables import Cell, ResultTable
from redact_core.metrics.statistics import Rate, wilson

NAMES = {
    "Gating": "gate", "Distillation": "distillation", "RobustDistillation": "robust distillation",
    "ClosedForm": "closed form",
}  # fmt: skip
KEPT = {
    "kept": "others' unseen clips: cosine", "kept, three nearest": "the same, of the three nearest voices",
    "kept, same bits": "others' unseen clips: same bits",
}  # fmt: skip


def methods_table(found: Mapping[str, Mapping[str, Any]]) -> ResultTable:
    """Settings are columns; attacks, what is kept and seconds are lines.

    Args:
        found: Setting -> seconds, what is kept, and attack -> rate, similarity and budget: methods.json of robust_voice.py.
    """
    each = list(found.values())
    attacks = list(dict.fromkeys(name for one in each for name, row in one.items() if isinstance(row, Mapping)))  # fmt: skip
    rows: list[list[Cell]] = [
        ["seconds of one core", *(f"{one['seconds']:.0f}" if one["seconds"] else "-" for one in each)]
    ]
    for name in attacks:
        done = [one.get(name) for one in each]
        budgets = list(
            dict.fromkeys(
                row["budget"] for row in done if row and row["budget"] != "-" and row["budget"] not in name
            )
        )
        counts = sorted({row["n"] for row in done if row})
        about = ", ".join([name, *budgets, f"n = {' or '.join(map(str, counts))}"])
        rows.append([f"named as the voice, {about}", *(_rate(row) if row else "-" for row in done)])
        shown = [f"{row['heard']:.2f}; {row['most']:.2f}" if row else "-" for row in done]
        rows.append(["similarity, mean; largest", *shown])
    for key, label in KEPT.items():
        if "same bits" in key:
            rows.append([label, *(f"{100 * one[key]:.0f} %" for one in each)])
        else:
            rows.append([label, *(f"{one[key]:.4f}" for one in each)])
    return ResultTable(["", *map(_named, found)], rows)


def _named(setting: str) -> str:
    """``RobustDistillation: {radius: 0.15}`` -> ``robust distillation, radius: 0.15``."""
    name, _, rest = setting.partition(":")
    settings = rest.strip(" {}")
    return NAMES.get(name, name) + (f", {settings}" if settings else "")


def _rate(row: Mapping[str, Any]) -> Rate:
    return wilson(round(row["value"] * row["n"]), row["n"])
