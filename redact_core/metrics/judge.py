"""What every judge of samples has, whether it judges single ones or whole groups."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn

from redact_core.errors import raise_together
from redact_core.support.devices import move
from redact_core.support.folders import sha256
from redact_core.support.jsonl import line
from redact_core.support.whole_numbers import WholeNumbers


class Judge(WholeNumbers):
    """A name, files and networks. Named by class on the command line, as adapters are; there is no registry."""

    metrics: ClassVar[Mapping[str, Any]]
    """Every figure that it may give, by name."""
    about: ClassVar[str] = ""
    """Who judges, for people, as the end of "judged by": ``a classifier that never sees a prompt``."""

    @property
    def name(self) -> str:
        """Under which its figures are kept."""
        return type(self).__name__

    @property
    def files(self) -> Mapping[str, Path]:
        """Weights and data that the figures depend on, for the record of hashes."""
        return {}

    @property
    def networks(self) -> Sequence[nn.Module]:
        """The networks that judge; :meth:`to` moves them. They take and give tensors on the CPU."""
        return ()

    def to(self, device: torch.device | str) -> Self:
        """Judge on ``device`` from now on; the judge itself is returned."""
        for network in self.networks:
            move(network, device)
        return self


def check_names(judges: Iterable[Judge], what: str, taken: Mapping[str, str] | None = None) -> None:
    """Refuse judges that share a name, or figures that do.

    Args:
        judges: That judge together; each has ``metrics``.
        what: They are, for the message: ``scorers``.
        taken: Metrics of others whose figures stand beside theirs -> who gives them.

    Raises:
        RedactError: Lists all that is shared.
    """
    seen = {f"the metric {name!r}": whose for name, whose in (taken or {}).items()}
    problems: list[str] = []
    for judge in judges:
        for name in (f"the name {judge.name}", *(f"the metric {name!r}" for name in judge.metrics)):
            if name in seen:
                problems.append(f"{seen[name]} and {judge.name} share {name}; keep one or rename it")
            seen[name] = judge.name
    raise_together(f"The {what} cannot be used together", problems)


def record_of(judge: Judge, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What the evidence keeps of a judge: who, from which files, which figures, as it is read again.

    Args:
        judge: Any.
        spec: ``class_path`` and ``init_args``.
    """
    head = {
        "scorer": judge.name,
        **spec,
        "files": {name: sha256(path) for name, path in sorted(judge.files.items())},
        "metrics": {name: vars(metric) for name, metric in judge.metrics.items()},
        **({"about": judge.about} if judge.about else {}),
    }
    return json.loads(line(head))
