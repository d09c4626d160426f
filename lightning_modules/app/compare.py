"""What the page does: one condition and seed, a sample of each model, and what the judges say. Knows no page."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from redact_core import Adapter, Metric, RedactError, RedactionCard, Request, Scorer, Trial
from redact_core.adapters.by_hand import Entry, TriedByHand, try_by_hand
from redact_core.adapters.capabilities import require
from redact_core.artefacts.card import FILE as CARD
from redact_core.evaluation.evidence import BASE
from redact_core.metrics.judge import check_names
from redact_core.metrics.scorer import checked_scores, leak_metric
from redact_core.reporting.formats import show

SEEDS = 2**31 - 1
"""The largest seed."""


@dataclass(frozen=True)
class Subject:
    """What was redacted, and what shall appear instead where that is known."""

    name: str
    reference: str | None = None


@dataclass(frozen=True)
class Figure:
    """What a judge says of both samples."""

    name: str
    base: str
    redacted: str
    note: str


@dataclass(frozen=True)
class Compared:
    """Both samples as files, and what is said of them."""

    base: Path
    redacted: Path
    verdict: str
    """One sentence."""
    figures: tuple[Figure, ...]


def subjects_of(folder: Path, given: Sequence[str], references: Sequence[str]) -> list[Subject]:
    """What was redacted: as given, else as the card of ``folder`` discloses; empty where nobody says.

    Args:
        folder: That ``redact fit`` exported.
        given: Names.
        references: One for all or one for each.

    Raises:
        RedactError: There are more or fewer references.
    """
    if given:
        asked = Request(tuple(given), tuple(references))
        asked.check_references()
        return [Subject(name, asked.reference_of(i)) for i, name in enumerate(given)]
    if not (folder / CARD).is_file():
        return []
    found: dict[str, Subject] = {}
    for one in RedactionCard.read(folder).redactions:
        request = one["request"]
        lines = request.get("asked") if request.get("disclosure") == "text" else None
        for line in lines if isinstance(lines, list) else []:
            name, _, reference = str(line).partition(" -> ")
            name = name.removeprefix("style: ")
            found[name] = Subject(name, reference.removeprefix("style: ") or None)  # the last one counts
    return list(found.values())


class Comparison:
    """Asks both models the same.

    Args:
        base: The untouched model.
        redacted: The redacted one.
        scorers: That judge; those that cannot are left out and named.
        subjects: What can be looked for.

    Raises:
        RedactError: The adapter does not say what is asked of it by hand, or two scorers share a metric.
    """

    def __init__(
        self, base: Adapter, redacted: Adapter, scorers: Sequence[Scorer], subjects: Sequence[Subject]
    ):
        self.form, _ = (require(model, TriedByHand, "The page") for model in (base, redacted))
        check_names(scorers, "scorers")
        self.base, self.redacted, self.scorers, self.subjects = base, redacted, scorers, subjects
        # deleted with this object, or when the process ends
        self._kept = tempfile.TemporaryDirectory(prefix="redact-app-")
        self.folder = Path(self._kept.name)
        self._count = 0

    def entries(self) -> list[Entry]:
        """What is asked, with what was redacted as the first value where it is one of the choices."""
        names = [subject.name for subject in self.subjects]
        return [
            replace(entry, value=next((name for name in names if name in entry.choices), entry.value))
            for entry in self.form.entries()
        ]

    def close(self) -> None:
        """Delete every sample."""
        self._kept.cleanup()

    @torch.no_grad()
    def __call__(self, values: Mapping[str, Any], seed: Any, subject: str | None = None) -> Compared:
        """A sample of each model and what is said of them.

        Args:
            values: By the names of the adapter's entries.
            seed: From 0 to :data:`SEEDS`.
            subject: One of :attr:`subjects`; default: the first.

        Raises:
            RedactError: What was stated cannot be used.
        """
        seed = _seed(seed)
        self._count += 1
        paths: dict[str, Path] = {}
        row = None
        for name, model in ((BASE, self.base), ("redacted", self.redacted)):
            row, sample = try_by_hand(model, values, seed)
            paths[name] = model.write_sample(sample, self.folder / f"{self._count:06d}-{name}")
        assert row is not None
        chosen = next((one for one in self.subjects if one.name == subject), next(iter(self.subjects), None))
        if chosen is None:
            said = "Nobody says what was redacted, so nothing is judged; name it with --redact."
            return Compared(paths[BASE], paths["redacted"], said, ())
        labels = {**row.labels, **self.form.judged_for(chosen.name, chosen.reference)}
        row = replace(row, group="redacted", redacted=True, labels=labels)
        trials = [Trial(row, name, path, paths[BASE]) for name, path in paths.items()]
        metrics: dict[str, Metric] = {}
        scores: list[dict[str, float]] = [{}, {}]
        for scorer in self.scorers:
            metrics |= scorer.metrics
            for found, more in zip(scores, checked_scores(scorer, trials), strict=True):
                found |= more
        figures = tuple(
            Figure(
                name,
                _said(metric, scores[0].get(name, math.nan)),
                _said(metric, scores[1].get(name, math.nan)),
                metric.note,
            )
            for name, metric in metrics.items()
            if any(not math.isnan(found.get(name, math.nan)) for found in scores)
        )
        return Compared(paths[BASE], paths["redacted"], _verdict(chosen.name, metrics, scores), figures)


def _seed(value: Any) -> int:
    try:
        seed = int(value)
    except (TypeError, ValueError, OverflowError):
        raise RedactError(f"The seed is {value!r:.40}; give a whole number.") from None
    if seed != float(value) or not 0 <= seed <= SEEDS:
        raise RedactError(f"The seed is {value}; give a whole number from 0 to {SEEDS}.")
    return seed


def _verdict(subject: str, metrics: Mapping[str, Metric], scores: Sequence[Mapping[str, float]]) -> str:
    main = leak_metric(metrics)
    seen = [math.nan if main is None else found.get(main, math.nan) for found in scores]
    if main is None or any(map(math.isnan, seen)):
        return (
            f"No judge here can say whether “{subject}” is found; the figures below are all that was judged."
        )
    base, redacted = ("found" if value else "not found" for value in seen)
    return f"“{subject}”: {base} in the base's sample, {redacted} in the redacted model's (“{main}”)."


def _said(metric: Metric, value: float) -> str:
    if math.isnan(value):
        return "–"
    return ("yes" if value else "no") if metric.kind == "rate" else show(value)
