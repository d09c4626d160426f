"""Who judges an evaluation: scorers and set scorers with what it takes to build them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace

from lightning_modules.support.recorded import recorded
from lightning_modules.support.specs import build, specs_of
from redact_core import Adapter, Scorer, SetScorer
from redact_core.adapters.capabilities import PlansEvaluations
from redact_core.evaluation.evidence import Evidence
from redact_core.evaluation.scoring import TAKEN, score, scorer_records
from redact_core.evaluation.set_scoring import score_sets, set_records
from redact_core.metrics.judge import check_names

Spec = Mapping[str, Any]


@dataclass
class Judges:
    """Judges, and class and arguments of each as JSON keeps them.

    Raises:
        RedactError: Two share a name or a metric, so that one would hide the other.
    """

    scorers: Sequence[Scorer] = ()
    specs: Sequence[Spec] = ()
    set_scorers: Sequence[SetScorer] = ()
    set_specs: Sequence[Spec] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Before anything is drawn."""
        check_names((*self.scorers, *self.set_scorers), "judges", TAKEN)

    def to(self, device: torch.device) -> Judges:
        """Judge on ``device`` from now on; the same judges are returned."""
        for scorer in (*self.scorers, *self.set_scorers):
            scorer.to(device)
        return self

    def judge(self, evidence: Evidence) -> float:
        """Score samples, then groups; seconds."""
        spent = score(evidence, self.scorers, self.specs)
        return spent + score_sets(evidence, self.set_scorers, self.set_specs)


def default_judges(base: Adapter) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Class names of the scorers and set scorers that suit the samples of ``base``; none where it does not say."""
    planned = base.offers(PlansEvaluations)
    return ((), ()) if planned is None else (planned.scorers, planned.set_scorers)


def chosen_scorers(
    config: Namespace, ready: Mapping[str, Any] | Namespace, names: Sequence[str]
) -> tuple[Sequence[Scorer], list[dict[str, Any]]]:
    """Scorers that were chosen, else those that are named; and class and arguments of each.

    Args:
        config: What was parsed.
        ready: The same with classes instantiated.
        names: Of scorers, where none were chosen.
    """
    specs = specs_of(config["scorers"], names)
    return ready["scorers"] or [build(Scorer, spec) for spec in specs], specs


def add_judges(parser: ArgumentParser, default: str) -> None:
    """The options ``--scorers`` and ``--set_scorers``."""
    parser.add_argument("--scorers", type=list[Scorer] | None, help=f"Judge samples. Default: {default}")
    parser.add_argument(
        "--set_scorers", type=list[SetScorer] | None, help=f"Judge whole groups. Default: {default}"
    )


def load_judges(
    config: Namespace, ready: Mapping[str, Any] | Namespace, names: Sequence[str], set_names: Sequence[str]
) -> Judges:
    """Those that were chosen, else those that are named.

    Args:
        config: What was parsed.
        ready: The same with classes instantiated.
        names: Of scorers, where none were chosen.
        set_names: Of set scorers, where none were chosen.
    """
    sets = specs_of(config["set_scorers"], set_names)
    return Judges(
        *chosen_scorers(config, ready, names),
        ready["set_scorers"] or [build(SetScorer, spec) for spec in sets], sets,
    )  # fmt: skip


def recorded_judges(config: Namespace, ready: Mapping[str, Any] | Namespace, evidence: Evidence) -> Judges:
    """Those that were chosen, else those that judged before, as far as :mod:`.recorded` lets a record name them."""
    specs = specs_of(config["scorers"], ()) or recorded(Scorer, scorer_records(evidence))
    sets = specs_of(config["set_scorers"], ()) or recorded(SetScorer, set_records(evidence))
    return Judges(
        ready["scorers"] or [build(Scorer, spec) for spec in specs], specs,
        ready["set_scorers"] or [build(SetScorer, spec) for spec in sets], sets,
    )  # fmt: skip
