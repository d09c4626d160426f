"""What a model costs: seconds, peak memory, parameters changed, size. Kept apart from the figures.

::

    costs/sampling/MODEL/    one line for each stretch of sampling, a file for each process
    costs/models.json        one object for each model; see ModelCost

Two runs of the same evaluation agree in all but these files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from redact_core.adapters.base import Adapter
from redact_core.errors import RedactError
from redact_core.evaluation.evidence import BASE, Evidence, parts_of
from redact_core.support.folders import sha256
from redact_core.support.jsonl import LineWriter, read_lines, replace_file
from redact_core.support.meter import Meter
from redact_core.support.strict_json import strict_json


@dataclass(frozen=True)
class ModelCost:
    """What is known of a model before it has made a sample."""

    parameters: int
    """Of the part that reads the condition."""
    changed: int
    """How many of them differ from the base's."""
    bytes: int
    """Of all files that its samples depend on."""
    changed_bytes: int
    """Of the files that the base does not have in the same form: what must be shipped."""
    training: Mapping[str, float] = field(default_factory=dict)
    """``seconds`` and ``peak_bytes`` from the card, where the folder has one that says so."""


def model_cost(model: Adapter, base: Adapter, training: Mapping[str, float] | None = None) -> ModelCost:
    """Compare ``model`` with ``base``, weights and files."""
    ours, theirs = model.encoder.state_dict(), base.encoder.state_dict()
    changed = sum(
        int((value != theirs[name].to(value.device)).sum())
        if name in theirs and theirs[name].shape == value.shape
        else value.numel()
        for name, value in ours.items()
    )
    files = {name: path for name, path in model.files().items() if path.is_file()}
    stock = {sha256(path) for path in base.files().values() if path.is_file()}
    sizes = {name: path.stat().st_size for name, path in files.items()}
    fresh = sum(sizes[name] for name, path in files.items() if sha256(path) not in stock)
    total = sum(value.numel() for value in ours.values())
    return ModelCost(total, changed, sum(sizes.values()), fresh, dict(training or {}))


def note_models(evidence: Evidence, costs: Mapping[str, ModelCost]) -> None:
    """Write ``costs/models.json``."""
    (evidence.folder / "costs").mkdir(exist_ok=True)
    text = strict_json({name: asdict(cost) for name, cost in costs.items()}, "costs/models.json") + "\n"
    replace_file(evidence.folder / "costs" / "models.json", text.encode())


def note_sampling(evidence: Evidence, model: str, rank: int, samples: int, meter: Meter) -> None:
    """Add what a process spent on ``samples`` of ``model``; none cost nothing worth a line."""
    if not samples:
        return
    with LineWriter(evidence.folder / "costs" / "sampling" / model / f"{rank}.jsonl") as lines:
        lines.append([{"samples": samples, "seconds": meter.seconds, "peak_bytes": meter.peak_bytes}])


def costs_of(evidence: Evidence) -> list[dict[str, Any]]:
    """One plain object for each model of which anything is recorded, in the order of the models.

    ``sampling_seconds`` adds up the processes' own seconds, ``seconds_per_sample`` is their mean,
    ``slower`` that mean in relation to the base's, ``peak_bytes`` the largest of any process.
    """
    path = evidence.folder / "costs" / "models.json"
    known = _known(path) if path.is_file() else {}
    found: list[dict[str, Any]] = []
    for model in evidence.models:
        spent = [
            line
            for part in (
                *parts_of(evidence.folder / "costs", model),  # as schema 1 wrote them
                *parts_of(evidence.folder / "costs" / "sampling", model),
            )
            for line in read_lines(part)
        ]
        cost = dict(known.get(model, {}))
        if spent:
            seconds, samples = sum(s["seconds"] for s in spent), sum(s["samples"] for s in spent)
            peaks = [s["peak_bytes"] for s in spent if s["peak_bytes"] is not None]
            cost |= {
                "samples": samples, "sampling_seconds": seconds, "seconds_per_sample": seconds / samples,
                "peak_bytes": max(peaks, default=None),
            }  # fmt: skip
        if cost:
            found.append({"model": model, **cost})
    base = next((c.get("seconds_per_sample") for c in found if c["model"] == BASE), None)
    for cost in found:
        if base and "seconds_per_sample" in cost:
            cost["slower"] = cost["seconds_per_sample"] / base
    return found


def _known(path: Path) -> dict[str, Any]:
    """What :func:`note_models` wrote.

    Raises:
        RedactError: It was damaged since.
    """
    try:
        known: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RedactError(f"{path} is damaged ({error}); restore it, or remove it to do without.") from error
    if not isinstance(known, dict) or not all(isinstance(cost, dict) for cost in known.values()):
        raise RedactError(f"{path} holds no costs of models; restore it, or remove it to do without.")
    return known
