"""The seam for measures: a scorer turns samples into numbers, and says what the numbers mean."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from redact_core.errors import RedactError
from redact_core.metrics.judge import Judge
from redact_core.plan import PlanRow

Wish = Literal["low", "high", "as base", "at most base", "ideal"]
"""What a good redaction does to a figure, in comparison with the base or with an ideal."""


@dataclass(frozen=True)
class Metric:
    """What a figure is and what it should become.

    A ``rate`` is 0 or 1 for each sample and gets Wilson's interval; a ``mean`` is any number and
    gets a bootstrap interval; a ``set`` is of a whole group and gets a jackknife interval.
    """

    kind: Literal["rate", "mean", "set"]
    redacted: Wish | None
    """Wish for groups that shall no longer work; ``None`` where there is none."""
    retained: Wish | None
    """Wish for groups that shall stay as they are."""
    share: float = 1.0
    """A figure is low if it is surely below this share of the base's."""
    note: str = ""
    """How to read the figure, for the report."""
    ideal: float | None = None
    """What the wish ``ideal`` means; the figure's interval should hold it."""
    tolerance: float = 0.0
    """How far the interval may stay away from the ideal."""

    leak: bool = False
    """Attacks are judged by this rate where several shall be low."""
    floor_of: str = ""
    """The rate that this one is the floor of: how often the same judge finds what was redacted where nobody asked
    for it."""

    def wish(self, redacted: bool) -> Wish | None:
        """The wish for a group."""
        return self.redacted if redacted else self.retained


@dataclass(frozen=True)
class Trial:
    """One sample to be judged: what was asked of which model, and where the files are."""

    row: PlanRow
    model: str
    sample: Path
    base: Path
    """The base's sample of the same row, condition and seed alike; its own for the base itself."""

    @property
    def of_base(self) -> bool:
        """Is this a sample of the base?"""
        return self.base == self.sample


class Scorer(Judge, ABC):
    """Judges samples one by one. Settings in the constructor, the problem in the call.

    Scorers read the samples from files, so that scoring again needs no model.
    """

    metrics: ClassVar[Mapping[str, Metric]]
    """Every figure that :meth:`score` may return."""

    @abstractmethod
    def read(self, path: Path) -> Tensor:
        """One sample as :meth:`redact_core.Adapter.write_sample` wrote it.

        Raises:
            RedactError: The file is no sample of this kind.
        """

    @abstractmethod
    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        """Figures of each sample, in order.

        A figure that does not apply to a row is left out; one that could not be judged is ``nan``
        and will be counted, never averaged.
        """


def checked_scores(scorer: Scorer, trials: Sequence[Trial]) -> list[dict[str, float]]:
    """Score ``trials``; an unreadable sample gets ``nan`` for everything that is wished of its group.

    Raises:
        RedactError: The scorer breaks its own promises.
    """
    samples: list[Tensor] = []
    readable: list[int] = []
    found: list[dict[str, float]] = [
        {name: math.nan for name, metric in scorer.metrics.items() if metric.wish(trial.row.redacted)}
        for trial in trials
    ]
    for i, trial in enumerate(trials):
        try:
            samples.append(scorer.read(trial.sample))
        except RedactError:
            continue
        readable.append(i)
    scores = scorer.score(samples, [trials[i] for i in readable]) if readable else []
    if len(scores) != len(readable):
        raise RedactError(
            f"{scorer.name} gave {len(scores)} scores for {len(readable)} samples; return one for each."
        )
    for i, score in zip(readable, scores, strict=True):
        for name, value in score.items():
            if name not in scorer.metrics:
                raise RedactError(f"{scorer.name} gave {name!r}, which is none of its metrics; declare it.")
            if math.isinf(value) or (
                scorer.metrics[name].kind == "rate" and value not in (0, 1) and value == value
            ):
                raise RedactError(
                    f"{scorer.name} gave {name} = {value}; give 0, 1 or nan for a rate, else a finite number or nan."
                )
        found[i] = {name: float(value) for name, value in score.items()}
    return found


def leak_metric(metrics: Mapping[str, Metric]) -> str | None:
    """The figure that says whether a redacted condition still works.

    Of the rates that shall be low, the first that is marked as ``leak``, else the first.
    """
    rates = [name for name, m in metrics.items() if m.kind == "rate" and m.redacted == "low"]
    return next((name for name in rates if metrics[name].leak), next(iter(rates), None))
