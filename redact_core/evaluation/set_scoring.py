"""Figures of whole groups: judged from the files of an evidence folder, kept beside the scores."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from redact_core.errors import RedactError
from redact_core.evaluation.evidence import BASE, Evidence
from redact_core.evaluation.scoring import TAKEN, scorer_records
from redact_core.evaluation.summary import SummaryRow
from redact_core.metrics.judge import check_names, record_of
from redact_core.metrics.scorer import Metric
from redact_core.metrics.set_scorer import Group, Pair, SetScorer
from redact_core.metrics.statistics import Z, jackknife_blocks, jackknife_error
from redact_core.support.jsonl import line, replace_file

_FOLDER = "sets"


def score_sets(evidence: Evidence, scorers: Sequence[SetScorer], specs: Sequence[Mapping[str, Any]]) -> float:
    """Judge the groups of every model and write ``sets/SCORER.json``; seconds spent in judging.

    What the same scorer found for the same samples is kept. Figures of other scorers are removed.

    Raises:
        RedactError: Two scorers share a metric, or one has it from who scored single samples, or samples do not match
            their hashes.
    """
    named = {name: record["scorer"] for record in scorer_records(evidence) for name in record["metrics"]}
    check_names(scorers, "set scorers", TAKEN | named)
    folder = evidence.folder / _FOLDER
    began = time.perf_counter()
    for path in set(folder.glob("*.json")) - {folder / f"{scorer.name}.json" for scorer in scorers}:
        path.unlink()
    for scorer, spec in zip(scorers, specs, strict=True):
        head = record_of(scorer, spec) | {"samples": _digest(evidence)}
        target = folder / f"{scorer.name}.json"
        if target.exists() and {**_read(target), "figures": None} == head | {"figures": None}:
            continue
        figures = _measure(evidence, scorer)
        replace_file(target, line(head | {"figures": figures}))
    return time.perf_counter() - began


def set_records(evidence: Evidence) -> list[dict[str, Any]]:
    """Name, class, arguments, hashes and metrics of the set scorers that judged."""
    found = [_read(path) for path in sorted((evidence.folder / _FOLDER).glob("*.json"))]
    return [{key: value for key, value in record.items() if key != "figures"} for record in found]


def set_rows(evidence: Evidence) -> list[SummaryRow]:
    """The figures as rows of a summary."""
    return [
        row for path in sorted((evidence.folder / _FOLDER).glob("*.json")) for row in _read(path)["figures"]
    ]


def figure(group: Group, scorer: SetScorer) -> dict[str, dict[str, float | int | None]]:
    """The figures of a group with their 95 % intervals.

    The intervals are those of the delete-a-group jackknife (Tukey 1958; Efron & Stein 1981), because
    resampling with replacement repeats samples, which biases distances between distributions. A row
    without an interval had fewer than four samples.
    """
    judged = torch.isfinite(group.own).all(1) & torch.isfinite(group.base).all(1)
    kept = group[judged.nonzero()[:, 0]]
    whole = scorer.compare(kept) if len(kept.rows) > 1 else {}
    parts = [scorer.compare(kept[index]) for index in jackknife_blocks(len(kept.rows))]
    unscored = int((~judged).sum())
    return {name: _row(pair, [p[name] for p in parts if name in p], unscored) for name, pair in whole.items()}


def halves(n: int) -> Tensor:
    """``(n,)`` bool: which of every two neighbouring rows is in the second half, drawn once for all.

    Drawn, because a plan may go round its conditions with an even period.
    """
    first = torch.randint(2, (-(-n // 2),), generator=torch.Generator().manual_seed(0)).bool()
    return torch.stack([first, ~first], 1).flatten()[:n]


def _row(pair: Pair, parts: Sequence[Pair], unscored: int) -> dict[str, float | int | None]:
    own, gap = pair.own, pair.base - pair.own
    low, high = _interval(own, parts, lambda p: p.own)
    gap_low, gap_high = _interval(gap, parts, lambda p: p.base - p.own)
    return {
        "base": pair.base, "redacted": own, "n": pair.n, "low": low, "high": high, "difference": gap,
        "difference_low": gap_low, "difference_high": gap_high, "unscored": unscored, "others": pair.others,
    }  # fmt: skip


def _interval(
    value: float, parts: Sequence[Pair], of: Callable[[Pair], float]
) -> tuple[float | None, float | None]:
    if len(parts) < 2 or math.isnan(value):
        return None, None
    half = Z * jackknife_error([of(part) for part in parts])
    return value - half, value + half


def _measure(evidence: Evidence, scorer: SetScorer) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str, bool], list[int]] = {}
    for i, row in enumerate(evidence.plan):
        groups.setdefault((row.task, row.group, row.redacted), []).append(i)
    found: list[dict[str, Any]] = []
    base = _embedded(evidence, scorer, BASE)
    for model in [name for name in evidence.models if name != BASE]:
        own = _embedded(evidence, scorer, model)
        for (task, name, redacted), indices in groups.items():
            there = [i for i in indices if i in own and i in base]
            if not there:
                continue
            sides = [torch.stack([side[i] for i in there]) for side in (own, base)]
            group = Group([evidence.plan[i] for i in there], sides[0], sides[1], halves(len(there)))
            for metric, values in figure(group, scorer).items():
                wanted = scorer.metrics[metric].wish(redacted)
                where = {"task": task, "group": name, "metric": metric, "model": model}
                found.append({**where, "kind": "set", "wanted": wanted, **values})
    return found


def _embedded(evidence: Evidence, scorer: SetScorer, model: str) -> dict[int, Tensor]:
    """What the scorer sees of every sample of ``model``, by plan index; hashes are checked on the way."""
    indices = list(evidence.samples(model))
    paths = evidence.paths(model, indices)
    size, found = evidence.manifest["conduct"]["batch_size"], dict[int, Tensor]()
    for start in range(0, len(paths), size):
        seen = scorer.embed(paths[start : start + size]).float().cpu()
        found |= dict(zip(indices[start : start + size], seen, strict=True))
    return found


def _digest(evidence: Evidence) -> str:
    """Of all samples that are there."""
    digest = hashlib.sha256()
    for model in evidence.models:
        for i, (_, content) in evidence.samples(model).items():
            digest.update(f"{model} {i} {content}\n".encode())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RedactError(f"{path} is damaged ({error}); remove it and score again.") from error


def metrics_of_sets(evidence: Evidence) -> dict[str, Metric]:
    """All metrics of the set scorers that judged."""
    return {
        name: Metric(**metric)
        for record in set_records(evidence)
        for name, metric in record["metrics"].items()
    }
