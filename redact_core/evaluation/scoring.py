"""Scores of an evidence folder: judged from the files, kept line by line, put together at the end."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redact_core.errors import RedactError
from redact_core.evaluation import inappropriateness
from redact_core.evaluation.evidence import Evidence
from redact_core.metrics.judge import check_names, record_of
from redact_core.metrics.scorer import Metric, Scorer, checked_scores
from redact_core.support.jsonl import LineWriter, first_line, read_lines

TAKEN = dict.fromkeys(inappropriateness.METRICS, "the report")
"""Metrics that are computed from scores, which nobody else may give -> who gives them."""


def score(evidence: Evidence, scorers: Sequence[Scorer], specs: Sequence[Mapping[str, Any]]) -> float:
    """Judge every sample that is there, then write ``rows.jsonl``; seconds spent in judging.

    Scores that are there are kept if the same scorers made them, so that an interrupted call goes
    on; other scores are replaced, once the new ones are complete.

    Args:
        evidence: The folder.
        scorers: Their metrics must have different names, and none of :data:`TAKEN`.
        specs: For each scorer, its class and arguments, for the record.

    Raises:
        RedactError: Two scorers share a name or a metric, or samples do not match their hashes.
    """
    if not scorers:
        raise RedactError("No scorer was named; give --scorers NAME, 'redact ls' lists them.")
    check_names(scorers, "scorers", TAKEN)
    evidence.check_samples()
    heads = {s.name: record_of(s, spec) for s, spec in zip(scorers, specs, strict=True)}
    kept, fresh = evidence.folder / "scores", evidence.folder / "scores.new"
    if fresh.exists() and not kept.exists():  # killed between the two lines that end this function
        fresh.rename(kept)
    same = _heads(kept).items() <= heads.items()
    target = kept if same else fresh
    if not same and not _heads(fresh).items() <= heads.items():
        shutil.rmtree(fresh)
    spent = sum(
        _score(evidence, scorer, target / f"{scorer.name}.jsonl", heads[scorer.name]) for scorer in scorers
    )
    if not same:
        shutil.rmtree(kept)
        fresh.rename(kept)
    evidence.write_rows(read_scores(evidence))
    return spent


def read_scores(evidence: Evidence) -> dict[tuple[str, int], dict[str, float]]:
    """All scores by model and plan index."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for path in sorted((evidence.folder / "scores").glob("*.jsonl")):
        for row in read_lines(path)[1:]:
            values = {k: math.nan if v is None else float(v) for k, v in row["scores"].items()}
            found.setdefault((row["model"], row["index"]), {}).update(values)
    return found


def scorer_records(evidence: Evidence) -> list[dict[str, Any]]:
    """Name, class, arguments, hashes and metrics of the scorers that judged."""
    return list(_heads(evidence.folder / "scores").values())


def metrics_of(evidence: Evidence) -> dict[str, Metric]:
    """All metrics of the scorers that judged."""
    return {
        name: Metric(**metric)
        for head in scorer_records(evidence)
        for name, metric in head["metrics"].items()
    }


def _score(evidence: Evidence, scorer: Scorer, path: Path, head: Mapping[str, Any]) -> float:
    spent = 0.0
    with LineWriter(path) as lines:
        done = {(row["model"], row["index"]) for row in read_lines(path)[1:]}
        if not path.stat().st_size:
            lines.append([head])
        for model in evidence.models:
            pending = [c for c in evidence.whole_chunks(model) if not all((model, i) in done for i in c)]
            trials = evidence.trials(model, [i for chunk in pending for i in chunk])
            # whole chunks, even where a part is done: a figure may depend on its neighbours in the batch
            for chunk in pending:
                began = time.perf_counter()
                scores = checked_scores(scorer, [trials[i] for i in chunk])
                spent += time.perf_counter() - began
                lines.append(
                    {"model": model, "index": i, "scores": found}
                    for i, found in zip(chunk, scores, strict=True)
                    if (model, i) not in done
                )
    return spent


def _heads(folder: Path) -> dict[str, dict[str, Any]]:
    found = map(first_line, sorted(folder.glob("*.jsonl")))
    return {head["scorer"]: head for head in found if head is not None}
